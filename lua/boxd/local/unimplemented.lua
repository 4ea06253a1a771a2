-- RPCs that have no meaning in a service of one user on one machine: they are
-- refused, saying why.

local status = require "boxd.local.status"

local NO_ORGS = "it has one user and no organisations"
local NO_TEAMS = "it has one user and no teams"
local FREE = "it costs nothing, so it has no plans and no billing"

local WHY = {
  [FREE] = { "ListPlans", "GetBilling", "CreateCheckoutSession",
    "CreateBillingPortalSession", "ChangeShape", "GetOrgBilling",
    "GetOrgUsage", "ListBillingActivity" },
  [NO_ORGS] = { "SetOrgDomain", "GetOrgDomain", "ClearOrgDomain", "ListOrgs",
    "SetOrgBackupsDefault", "GetOrgBackupsDefault", "SetOrgMachineDefaults",
    "GetOrgMachineDefaults", "SetOrgIdleIgnoreOutboundDefault",
    "GetOrgIdleIgnoreOutboundDefault", "SetOrgBotProtectionDefault",
    "GetOrgBotProtectionDefault", "CreateOrg", "RenameOrg", "GetOrgMembers",
    "InviteOrgMember", "RevokeOrgInvite", "RemoveOrgMember",
    "SetOrgMemberRole" },
  [NO_TEAMS] = { "ListTeams", "GetTeam", "CreateTeam", "RenameTeam",
    "DestroyTeam", "AddTeamMember", "RemoveTeamMember", "SetTeamMemberRole",
    "SetTeamDefaultSnapshot" },
  ["its boxes have no desktops"] = { "DesktopTunnel" },
  ["boxes have no SSH server: use Exec, which has a terminal"] = { "LinkSshKey" },
}

local unimplemented = {}

for why, names in pairs(WHY) do
  for _, name in ipairs(names) do
    unimplemented[name] = function()
      status.fail("UNIMPLEMENTED", "%s is not in the embedded service: %s",
        name, why)
    end
  end
end

return unimplemented
