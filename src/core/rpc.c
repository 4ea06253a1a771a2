#include "rpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "boxd.pb-c.h"

#define SERVICE "boxd.api.v1.BoxdApi"
#define READS true
#define WRITES false
#define ROW(name, kind, reads) GONE(name, kind, reads, NULL)
#define GONE(name, kind, reads, successor) \
  {#name, "/" SERVICE "/" #name, BX_##kind, reads, successor}
#define SNAPSHOTS "templates have given way to snapshots: "
#define DOMAINS "custom domains have taken its place: "

/* In alphabetical order: it is searched by halves. */
static const bx_rpc rpcs[] = {
    ROW(AddCustomDomain, UNARY, WRITES),
    ROW(AddTeamMember, UNARY, WRITES),
    ROW(AttachDisk, UNARY, WRITES),
    GONE(BindDomain, UNARY, WRITES,
         DOMAINS "AddCustomDomain, which c.domain:bind uses"),
    GONE(ChangeShape, UNARY, WRITES,
         "a box has a size of its own now: box:resize{ vcpu = 2 }"),
    ROW(ClearBackupSchedule, UNARY, WRITES),
    ROW(ClearOrgDomain, UNARY, WRITES),
    ROW(CopyPath, UNARY, WRITES),
    ROW(CreateApiKey, UNARY, WRITES),
    ROW(CreateBillingPortalSession, UNARY, WRITES),
    ROW(CreateCheckoutSession, UNARY, WRITES),
    ROW(CreateCheckpoint, UNARY, WRITES),
    ROW(CreateDisk, UNARY, WRITES),
    ROW(CreateNetwork, UNARY, WRITES),
    ROW(CreateOrg, UNARY, WRITES),
    ROW(CreateProxy, UNARY, WRITES),
    ROW(CreateSnapshot, UNARY, WRITES),
    ROW(CreateTeam, UNARY, WRITES),
    GONE(CreateTemplate, UNARY, WRITES,
         SNAPSHOTS "c.snapshot:create(box, name)"),
    ROW(CreateToken, UNARY, WRITES),
    ROW(CreateVm, UNARY, WRITES),
    ROW(CreateVmFromSnapshot, UNARY, WRITES),
    GONE(CreateVmFromTemplate, UNARY, WRITES,
         SNAPSHOTS "c.box:create{ from_snapshot = name }"),
    ROW(DeleteApiKey, UNARY, WRITES),
    ROW(DeleteBackup, UNARY, WRITES),
    ROW(DeleteCheckpoint, UNARY, WRITES),
    ROW(DeletePath, UNARY, WRITES),
    ROW(DeleteProxy, UNARY, WRITES),
    ROW(DeleteSnapshot, UNARY, WRITES),
    GONE(DeleteTemplate, UNARY, WRITES,
         SNAPSHOTS "c.snapshot:delete(name)"),
    ROW(DesktopTunnel, BIDI, WRITES),
    ROW(DestroyDisk, UNARY, WRITES),
    ROW(DestroyTeam, UNARY, WRITES),
    ROW(DestroyVm, UNARY, WRITES),
    ROW(DetachDisk, UNARY, WRITES),
    ROW(DownloadFile, UNARY, READS),
    ROW(DownloadFileStream, SERVER, WRITES),
    ROW(Exec, BIDI, WRITES),
    ROW(ExposePort, UNARY, WRITES),
    ROW(ForkVm, UNARY, WRITES),
    ROW(GetBackupSchedule, UNARY, READS),
    ROW(GetBilling, UNARY, READS),
    ROW(GetConfig, UNARY, READS),
    ROW(GetOrgBackupsDefault, UNARY, READS),
    ROW(GetOrgBilling, UNARY, READS),
    ROW(GetOrgBotProtectionDefault, UNARY, READS),
    ROW(GetOrgDomain, UNARY, READS),
    ROW(GetOrgIdleIgnoreOutboundDefault, UNARY, READS),
    ROW(GetOrgMachineDefaults, UNARY, READS),
    ROW(GetOrgMembers, UNARY, READS),
    ROW(GetOrgUsage, UNARY, READS),
    ROW(GetSnapshot, UNARY, READS),
    ROW(GetTeam, UNARY, READS),
    ROW(GetVm, UNARY, READS),
    ROW(GetVmUsage, UNARY, READS),
    ROW(HibernateVm, UNARY, WRITES),
    ROW(InviteOrgMember, UNARY, WRITES),
    ROW(LinkSshKey, UNARY, WRITES),
    ROW(ListApiKeys, UNARY, READS),
    ROW(ListBackups, UNARY, READS),
    ROW(ListBillingActivity, UNARY, READS),
    ROW(ListCheckpoints, UNARY, READS),
    ROW(ListCustomDomains, UNARY, READS),
    ROW(ListDir, UNARY, READS),
    ROW(ListDisks, UNARY, READS),
    GONE(ListDomains, UNARY, READS,
         DOMAINS "ListCustomDomains, which c.domain:list uses"),
    ROW(ListExposedPorts, UNARY, READS),
    ROW(ListNetworks, UNARY, READS),
    ROW(ListOrgs, UNARY, READS),
    ROW(ListPlans, UNARY, READS),
    ROW(ListProxies, UNARY, READS),
    ROW(ListProxyNodes, UNARY, READS),
    ROW(ListSnapshots, UNARY, READS),
    ROW(ListTeams, UNARY, READS),
    GONE(ListTemplates, UNARY, READS,
         SNAPSHOTS "c.snapshot:list()"),
    ROW(ListTokens, UNARY, READS),
    ROW(ListVars, UNARY, READS),
    ROW(ListVms, UNARY, READS),
    ROW(Mkdir, UNARY, WRITES),
    ROW(RebootVm, UNARY, WRITES),
    ROW(RemoveCustomDomain, UNARY, WRITES),
    ROW(RemoveOrgMember, UNARY, WRITES),
    ROW(RemoveTeamMember, UNARY, WRITES),
    ROW(RemoveVar, UNARY, WRITES),
    ROW(RenameOrg, UNARY, WRITES),
    ROW(RenamePath, UNARY, WRITES),
    ROW(RenameTeam, UNARY, WRITES),
    ROW(RenameVm, UNARY, WRITES),
    ROW(ResizeVm, UNARY, WRITES),
    ROW(RestoreBackup, UNARY, WRITES),
    ROW(RestoreCheckpoint, UNARY, WRITES),
    ROW(ResumeVm, UNARY, WRITES),
    ROW(RevokeOrgInvite, UNARY, WRITES),
    ROW(RevokeToken, UNARY, WRITES),
    ROW(SetAutoHibernateTimeout, UNARY, WRITES),
    ROW(SetAutoSuspendTimeout, UNARY, WRITES),
    ROW(SetBackupSchedule, UNARY, WRITES),
    ROW(SetBotProtection, UNARY, WRITES),
    ROW(SetDeleteAfter, UNARY, WRITES),
    ROW(SetIdleIgnoreOutbound, UNARY, WRITES),
    ROW(SetOrgBackupsDefault, UNARY, WRITES),
    ROW(SetOrgBotProtectionDefault, UNARY, WRITES),
    ROW(SetOrgDomain, UNARY, WRITES),
    ROW(SetOrgIdleIgnoreOutboundDefault, UNARY, WRITES),
    ROW(SetOrgMachineDefaults, UNARY, WRITES),
    ROW(SetOrgMemberRole, UNARY, WRITES),
    ROW(SetProxyPort, UNARY, WRITES),
    ROW(SetSecretScope, UNARY, WRITES),
    ROW(SetTeamDefaultSnapshot, UNARY, WRITES),
    ROW(SetTeamMemberRole, UNARY, WRITES),
    ROW(SetVar, UNARY, WRITES),
    ROW(SetVmEgressAllow, UNARY, WRITES),
    ROW(SetVmNetworks, UNARY, WRITES),
    ROW(ShareVm, UNARY, WRITES),
    ROW(StartVm, UNARY, WRITES),
    ROW(StopVm, UNARY, WRITES),
    ROW(StreamLogs, SERVER, WRITES),
    ROW(SuggestVmName, UNARY, READS),
    ROW(SuspendVm, UNARY, WRITES),
    ROW(TriggerBackup, UNARY, WRITES),
    GONE(UnbindDomain, UNARY, WRITES,
         DOMAINS "RemoveCustomDomain, which c.domain:unbind uses"),
    ROW(UnexposePort, UNARY, WRITES),
    ROW(UnshareVm, UNARY, WRITES),
    ROW(UpdateMachineSpec, UNARY, WRITES),
    ROW(UpdateVmLabels, UNARY, WRITES),
    ROW(UploadFile, UNARY, WRITES),
    ROW(UploadFileStream, CLIENT, WRITES),
    ROW(WakeVm, UNARY, WRITES),
    ROW(Whoami, UNARY, READS),
};
#define COUNT (sizeof rpcs / sizeof *rpcs)

static int by_name(const void *name, const void *row) {
  return strcmp(name, ((const bx_rpc *)row)->name);
}

const bx_rpc *bx_rpc_find(const char *name) {
  return bsearch(name, rpcs, COUNT, sizeof *rpcs, by_name);
}

const char *bx_rpc_nearest(const char *name) {
  const char *names[COUNT];
  for (size_t i = 0; i < COUNT; i++) names[i] = rpcs[i].name;
  return bx_text_nearest(name, names, COUNT);
}

static const ProtobufCMethodDescriptor *method(const bx_rpc *rpc) {
  return protobuf_c_service_descriptor_get_method_by_name(
      &boxd__api__v1__boxd_api__descriptor, rpc->name);
}

const ProtobufCMessageDescriptor *bx_rpc_request(const bx_rpc *rpc) {
  return method(rpc)->input;
}

const ProtobufCMessageDescriptor *bx_rpc_reply(const bx_rpc *rpc) {
  return method(rpc)->output;
}
