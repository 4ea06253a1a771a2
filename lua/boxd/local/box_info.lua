-- What a client sees of a box, as far as its record has it: see boxes:shown.

local box_request = require "boxd.local.box_request"

local box_info = {}

-- Seconds as milliseconds; 0: it never happened.
local function ms(seconds) return (seconds or 0) * 1000 end

local function sizes(record)
  return {
    vm_id = record.id, name = record.name, image_ref = record.image,
    public_ip = record.public_ip, status = record.status,
    restart_policy = record.restart_policy, disk_bytes = record.disk_bytes,
    auto_suspend_timeout_secs = record.auto_suspend,
    auto_hibernate_timeout_secs = record.auto_hibernate,
    auto_destroy_timeout_secs = record.auto_destroy,
    vcpu = record.vcpu, memory_bytes = record.memory_bytes,
    created_at = record.created_at, boot_time_ms = record.boot_time_ms,
  }
end

-- Records from before these had them lack some.
function box_info.of(record)
  local info = sizes(record)
  local org = record.shared and box_request.ORG or nil
  local source = record.source
  info.org, info.org_id = org, org
  info.billing_org, info.billing_org_id = box_request.ORG, box_request.ORG
  info.source = source and source.kind
  info.source_info = source
  info.labels, info.networks = record.labels, record.networks
  info.isolated = record.isolated
  info.egress_allow = record.egress_allow
  info.bot_protection = (record.bot_protection or "off") ~= "off"
  info.bot_protection_mode = record.bot_protection or "off"
  info.idle_ignore_outbound = record.idle_ignore_outbound
  info.delete_at_ms = ms(record.delete_at)
  info.delete_after_cron = record.delete_cron
  info.hibernated_at_ms = ms(record.hibernated_at)
  return info
end

return box_info
