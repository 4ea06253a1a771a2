/* Disk, and c.disk. */
#include "boxd.pb-c.h"
#include "method_private.h"
#include "types.h"

static const ProtobufCMessageDescriptor *const messages[] = {
    &boxd__api__v1__disk_info__descriptor,
    &boxd__api__v1__create_disk_response__descriptor, NULL};

/* It is attached to one box at a time. Of a text the service does not say whether
** it took it for an id or for a name. */
static void attached(lua_State *L) {
  bool given = lbx_is_record(L, LBX_GIVEN);
  bool looked_up = !given && !lua_rawequal(L, 2, LBX_GIVEN);
  lua_createtable(L, 1, 0);
  lua_createtable(L, 0, 4);
  if (given || looked_up) {
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "vm_id");
    if (given)
      lbx_record_get(L, LBX_GIVEN, "name");
    else
      lua_pushvalue(L, LBX_GIVEN);
    lua_setfield(L, -2, "vm_name");
  }
  lua_pushvalue(L, 3);
  lua_setfield(L, -2, "mount_path");
  lua_pushstring(L, lbx_option_on(L, "read_only") ? "ro" : "rw");
  lua_setfield(L, -2, "mount_mode");
  lua_rawseti(L, -2, 1);
  lbx_record_set(L, 1, "attachments");
}

#define BOX                                                       \
  {.name = "box", .field = "vm_id", .sort = LBX_OBJECT, .of = &lbx_box_type}
#define BY_NAME .before = &lbx_get_box, .late = true

static const lbx_param attach[] = {
    {.name = "read_only", .field = "read_only"}, {0}};

static const lbx_method methods[] = {
    {"attach", "AttachDisk", .self = "disk_id",
     .args = {BOX, {.name = "mount_path", .field = "mount_path"}},
     .options = attach, BY_NAME, .done = attached},
    {"detach", "DetachDisk", .self = "disk_id", .args = {BOX}, BY_NAME,
     .sets = {{"attachments", .empty = true}}},
    {"destroy", "DestroyDisk", .self = "disk_id",
     .sets = {{"status", .value = "destroyed"},
              {"attachments", .empty = true}}},
    {0}};
static const lbx_setter setters[] = {{"attachments", "attach"}, {NULL, NULL}};
static const char *const shown[] = {"id", "name", "size_bytes", "status", NULL};

const lbx_type lbx_disk_type = {
    .name = "Disk", .metatable = "boxd.Disk", .messages = messages,
    .shown = shown, .methods = methods, .setters = setters};

static const lbx_method service_methods[] = {
    {"create", "CreateDisk",
     .args = {{.name = "name", .field = "name"},
              {.name = "size", .field = "size_bytes", .sort = LBX_SIZE}},
     .result = LBX_RECORD, .of = &lbx_disk_type,
     .sets = {{"attachments", .empty = true}}},
    {"list", "ListDisks", .result = LBX_RECORDS, .field = "disks",
     .of = &lbx_disk_type},
    {"get", "ListDisks", .args = {{.name = "id", .sort = LBX_OBJECT}},
     .result = LBX_FOUND, .field = "disks", .of = &lbx_disk_type},
    {0}};

const lbx_type lbx_disks_type = {
    .name = "Disks", .metatable = "boxd.Disks", .methods = service_methods};
