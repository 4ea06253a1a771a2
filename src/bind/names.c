#include "names.h"

#include <string.h>

#include "boxd.pb-c.h"

typedef ProtobufCMessageDescriptor Message;
typedef ProtobufCFieldDescriptor Field;

typedef struct alias {
  const char *field, *name;
  lbx_form form;
} alias;

typedef struct row {
  const Message *message;
  alias aliases[7];
} row;

#define OF(name) &boxd__api__v1__##name##__descriptor
#define ID(field) {field, "id", LBX_AS_IS}
#define IMAGE {"image_ref", "image", LBX_AS_IS}
#define MS(field) {field, field, LBX_SECONDS}
#define NONE(field) {field, field, LBX_NOT_ZERO}
#define BOOTED NONE("boot_time_ms")

static const row rows[] = {
    {OF(get_vm_response),
     {ID("vm_id"), IMAGE, {"hibernated_at_ms", "hibernated_at", LBX_SECONDS},
      {"delete_at_ms", "delete_at", LBX_SECONDS},
      {"last_connected_ms", "last_connected_at", LBX_SECONDS}, BOOTED,
      NONE("ssh_port")}},
    {OF(create_vm_response), {ID("vm_id"), BOOTED}},
    {OF(fork_vm_response), {ID("vm_id"), BOOTED}},
    {OF(create_vm_from_template_response), {ID("vm_id"), BOOTED}},
    {OF(set_delete_after_response), {{"delete_at_ms", "delete_at", LBX_SECONDS}}},
    {OF(machine_package),
     {{"started_at_ms", "started_at", LBX_SECONDS},
      {"finished_at_ms", "finished_at", LBX_SECONDS}}},
    {OF(disk_info), {ID("disk_id"), MS("created_at")}},
    {OF(create_disk_response), {ID("disk_id")}},
    {OF(template_info), {ID("template_id"), IMAGE}},
    {OF(create_template_response), {ID("template_id")}},
    {OF(snapshot_info),
     {ID("snapshot_id"), MS("created_at"), MS("updated_at"),
      NONE("version")}},
    {OF(create_snapshot_response), {ID("snapshot_id"), NONE("version")}},
    {OF(checkpoint_info), {ID("checkpoint_id"), MS("created_at")}},
    {OF(create_checkpoint_response), {ID("checkpoint_id")}},
    {OF(backup_info),
     {ID("backup_id"), MS("created_at"), MS("expires_at")}},
    {OF(get_backup_schedule_response),
     {MS("next_backup_at"), MS("last_backup_at")}},
    {OF(network_info), {ID("network_id")}},
    {OF(create_network_response), {ID("network_id")}},
    {OF(create_token_response), {NONE("expires_at")}},
    {OF(token_info), {NONE("expires_at")}},
    {OF(create_api_key_response), {NONE("expires_at")}},
    {OF(api_key_info), {NONE("last_used_at"), NONE("expires_at")}},
    {OF(whoami_response),
     {{"pubkey_fingerprints", "fingerprints", LBX_AS_IS}}},
};

static const alias *aliases_of(const Message *d) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].message == d) return rows[i].aliases;
  return NULL;
}

/* Reading a field comes here: most differ in the first letter. */
static bool same(const char *a, const char *b) {
  return *a == *b && strcmp(a, b) == 0;
}

static const alias *find(const Message *d, const Field *f) {
  for (const alias *r = aliases_of(d); r && r->field; r++)
    if (same(r->field, f->name)) return r;
  return NULL;
}

const char *lbx_name_of(const Message *d, const Field *f) {
  const alias *r = find(d, f);
  return r ? r->name : f->name;
}

lbx_form lbx_form_of(const Message *d, const Field *f) {
  if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE)
    return LBX_AS_IS;
  const alias *r = find(d, f);
  return r ? r->form : LBX_AS_IS;
}

const Field *lbx_named(const Message *d, const char *name) {
  for (const alias *r = aliases_of(d); r && r->field; r++) {
    if (same(r->name, name))
      return protobuf_c_message_descriptor_get_field_by_name(d, r->field);
    if (same(r->field, name)) return NULL; /* it has another name */
  }
  return protobuf_c_message_descriptor_get_field_by_name(d, name);
}
