/* Disk, and c.disk. */
#include "boxd.pb-c.h"
#include "method.h"
#include "types.h"

static const ProtobufCMessageDescriptor *const messages[] = {
    &boxd__api__v1__disk_info__descriptor,
    &boxd__api__v1__create_disk_response__descriptor, NULL};

static const lbx_method methods[] = {
    {"destroy", "DestroyDisk", .self = "disk_id",
     .sets = {{"status", .value = "destroyed"},
              {"attachments", .empty = true}}},
    {0}};
static const char *const composed[] = {"attach", "detach", NULL};
static const char *const shown[] = {"id", "name", "size_bytes", "status", NULL};

const lbx_type lbx_disk_type = {
    .name = "Disk", .metatable = "boxd.Disk", .messages = messages,
    .shown = shown, .methods = methods, .module = "boxd.disk",
    .composed = composed};

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
