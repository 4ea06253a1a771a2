/* Template, Snapshot, and what else is made of boxes: checkpoints, backups. */
#include "boxd.pb-c.h"
#include "config.h"
#include "error.h"
#include "method_private.h"
#include "types.h"

#define OF(name) &boxd__api__v1__##name##__descriptor
#define OBJECT(what, to, type) \
  {.name = what, .field = to, .sort = LBX_OBJECT, .of = &lbx_##type##_type}
#define BOX OBJECT("box", "vm", box)
#define TEXT(of) {.name = of, .field = of}

static const lbx_param org[] = {TEXT("org"), {0}};
static const lbx_method none[] = {{0}};

/* c.template: the 0.1 contract has them. */

static const ProtobufCMessageDescriptor *const templates[] = {
    OF(template_info), OF(create_template_response), NULL};
static const char *const template_shown[] = {"id", "name", "image", "status",
                                             NULL};

const lbx_type lbx_template_type = {
    .name = "Template", .metatable = "boxd.Template", .messages = templates,
    .shown = template_shown, .methods = none};

static const lbx_param template_options[] = {
    {.name = "name", .field = "name", .needed = true},
    {.name = "image", .field = "image_ref"}, LBX_CONFIG, {0}};
static const lbx_param create_vm_options[] = {TEXT("name"), LBX_CONFIG, {0}};

#define TEMPLATE OBJECT("template", "template_id", template)

static const lbx_method template_methods[] = {
    {"create", "CreateTemplate", .options = template_options,
     .result = LBX_RECORD, .of = &lbx_template_type,
     .sets = {{"image", .request = "image_ref"},
              {"vcpu", .request = "config.vcpu"},
              {"memory_bytes", .request = "config.memory_bytes"}}},
    {"create_vm", "CreateVmFromTemplate", .args = {TEMPLATE},
     .options = create_vm_options, .result = LBX_RECORD, .of = &lbx_box_type,
     .sets = {{"image", .given = "image"}}, .disks = &lbx_config_disks},
    {"list", "ListTemplates", .result = LBX_RECORDS, .field = "templates",
     .of = &lbx_template_type},
    {"delete", "DeleteTemplate",
     .args = {TEMPLATE}},
    {0}};

const lbx_type lbx_templates_type = {
    .name = "Templates", .metatable = "boxd.Templates",
    .methods = template_methods};

/* c.snapshot: an id or a name where the contract says name. */

static const ProtobufCMessageDescriptor *const snapshots[] = {
    OF(snapshot_info), OF(create_snapshot_response), NULL};
static const char *const snapshot_shown[] = {"id", "name", "version", "status",
                                             NULL};

const lbx_type lbx_snapshot_type = {
    .name = "Snapshot", .metatable = "boxd.Snapshot", .messages = snapshots,
    .shown = snapshot_shown, .methods = none};

#define SNAPSHOT OBJECT("snapshot", "name", snapshot)

static const lbx_param wait[] = {
    {.name = "wait", .type = LUA_TBOOLEAN, .wider = true}, {0}};

static const lbx_method snapshot_methods[] = {
    {"create", "CreateSnapshot", .args = {BOX, TEXT("name")},
     .options = wait, .result = LBX_RECORD, .of = &lbx_snapshot_type},
    {"list", "ListSnapshots", .options = org, .result = LBX_RECORDS,
     .field = "snapshots", .of = &lbx_snapshot_type},
    {"get", "GetSnapshot", .args = {SNAPSHOT}, .options = org,
     .result = LBX_RECORD, .field = "snapshot", .of = &lbx_snapshot_type},
    {"delete", "DeleteSnapshot", .args = {SNAPSHOT}, .options = org},
    {0}};

static const char *const snapshot_composed[] = {"wait_until_ready", NULL};

const lbx_type lbx_snapshots_type = {
    .name = "Snapshots", .metatable = "boxd.Snapshots",
    .methods = snapshot_methods, .module = "boxd.snapshot",
    .composed = snapshot_composed};

/* c.checkpoint: a box's own. */

static const lbx_method checkpoint_methods[] = {
    {"create", "CreateCheckpoint", .args = {BOX, TEXT("name")},
     .result = LBX_WHOLE},
    {"list", "ListCheckpoints", .args = {BOX}, .result = LBX_FIELD,
     .field = "checkpoints"},
    {"restore", "RestoreCheckpoint", .args = {BOX, TEXT("name")}},
    {"delete", "DeleteCheckpoint", .args = {BOX, TEXT("name")}},
    {0}};

const lbx_type lbx_checkpoints_type = {
    .name = "Checkpoints", .metatable = "boxd.Checkpoints",
    .methods = checkpoint_methods};

/* c.backup: copies of a box's disk, on a schedule or at once. */

/* Seconds after the last one, or a cron expression. */
static void complete_schedule(lua_State *L) {
  bool interval = lua_getfield(L, LBX_OPTIONS, "interval") != LUA_TNIL;
  bool cron = lua_getfield(L, LBX_OPTIONS, "cron") != LUA_TNIL;
  if (interval == cron)
    lbx_error_invalid(L, "schedule_set: exactly one of interval and cron "
                      "expected");
  lua_pushvalue(L, interval ? -2 : -1);
  lua_tostring(L, -1);
  lua_setfield(L, LBX_OPTIONS, "schedule_value");
  lua_pushstring(L, interval ? "interval" : "cron");
  lua_setfield(L, LBX_OPTIONS, "schedule_kind");
  lua_pop(L, 2);
}

/* None is set: nil. */
static void finish_schedule(lua_State *L) {
  lua_getfield(L, -1, "enabled");
  if (!lua_toboolean(L, -1)) {
    lua_pushnil(L);
    lua_replace(L, -3);
  }
  lua_pop(L, 1);
}

static const lbx_param schedule[] = {
    {.name = "interval", .read = lbx_config_read_timer},
    {.name = "cron", .type = LUA_TSTRING},
    {.name = "retention", .field = "retention_secs", .needed = true}, {0}};

static const lbx_method backup_methods[] = {
    {"schedule_get", "GetBackupSchedule", .args = {BOX}, .result = LBX_WHOLE,
     .done = finish_schedule},
    {"schedule_set", "SetBackupSchedule", .args = {BOX}, .options = schedule,
     .complete = complete_schedule},
    {"schedule_clear", "ClearBackupSchedule", .args = {BOX}},
    {"list", "ListBackups", .args = {BOX}, .result = LBX_FIELD,
     .field = "backups"},
    /* the id of the backup that will be made */
    {"trigger", "TriggerBackup", .args = {BOX}, .result = LBX_FIELD,
     .field = "backup_id"},
    {"restore", "RestoreBackup", .args = {BOX, TEXT("backup_id")}},
    {"delete", "DeleteBackup", .args = {BOX, TEXT("backup_id")}},
    {0}};

const lbx_type lbx_backups_type = {
    .name = "Backups", .metatable = "boxd.Backups", .methods = backup_methods};
