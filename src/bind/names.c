#include "names.h"

#include <string.h>

#include "boxd.pb-c.h"

typedef ProtobufCMessageDescriptor Message;
typedef ProtobufCFieldDescriptor Field;

typedef struct alias {
  const char *field, *name;
  bool ms; /* milliseconds, which become seconds */
} alias;

typedef struct row {
  const Message *message;
  alias aliases[6];
} row;

#define OF(name) &boxd__api__v1__##name##__descriptor
#define ID(field) {field, "id", false}
#define IMAGE {"image_ref", "image", false}
#define MS(field) {field, field, true}

static const row rows[] = {
    {OF(get_vm_response),
     {ID("vm_id"), IMAGE, {"hibernated_at_ms", "hibernated_at", true},
      {"delete_at_ms", "delete_at", true},
      {"last_connected_ms", "last_connected_at", true}}},
    {OF(create_vm_response), {ID("vm_id")}},
    {OF(fork_vm_response), {ID("vm_id")}},
    {OF(create_vm_from_template_response), {ID("vm_id")}},
    {OF(machine_package),
     {{"started_at_ms", "started_at", true},
      {"finished_at_ms", "finished_at", true}}},
    {OF(disk_info), {ID("disk_id"), MS("created_at")}},
    {OF(create_disk_response), {ID("disk_id")}},
    {OF(template_info), {ID("template_id"), IMAGE}},
    {OF(create_template_response), {ID("template_id")}},
    {OF(snapshot_info),
     {ID("snapshot_id"), MS("created_at"), MS("updated_at")}},
    {OF(create_snapshot_response), {ID("snapshot_id")}},
    {OF(checkpoint_info), {ID("checkpoint_id"), MS("created_at")}},
    {OF(create_checkpoint_response), {ID("checkpoint_id")}},
    {OF(backup_info),
     {ID("backup_id"), MS("created_at"), MS("expires_at")}},
    {OF(get_backup_schedule_response),
     {MS("next_backup_at"), MS("last_backup_at")}},
    {OF(network_info), {ID("network_id")}},
    {OF(create_network_response), {ID("network_id")}},
    {OF(whoami_response),
     {{"pubkey_fingerprints", "fingerprints", false}}},
};

static const alias *aliases_of(const Message *d) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].message == d) return rows[i].aliases;
  return NULL;
}

static const alias *find(const Message *d, const Field *f) {
  for (const alias *r = aliases_of(d); r && r->field; r++)
    if (strcmp(r->field, f->name) == 0) return r;
  return NULL;
}

const char *lbx_name_of(const Message *d, const Field *f) {
  const alias *r = find(d, f);
  return r ? r->name : f->name;
}

bool lbx_is_ms(const Message *d, const Field *f) {
  const alias *r = find(d, f);
  return r && r->ms;
}

const Field *lbx_named(const Message *d, const char *name) {
  for (const alias *r = aliases_of(d); r && r->field; r++) {
    if (strcmp(r->name, name) == 0)
      return protobuf_c_message_descriptor_get_field_by_name(d, r->field);
    if (strcmp(r->field, name) == 0) return NULL; /* it has another name */
  }
  return protobuf_c_message_descriptor_get_field_by_name(d, name);
}
