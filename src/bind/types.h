/*
** types: the objects that scripts have, and the services that make them: static
** data, a file a subject.
*/
#ifndef LBX_TYPES_H
#define LBX_TYPES_H

#include "record.h"

extern const lbx_type lbx_compute_type; /* compute.c */

extern const lbx_type lbx_box_type, lbx_files_type; /* box.c */
extern const lbx_type lbx_boxes_type;               /* boxes.c */
extern const lbx_type lbx_disk_type, lbx_disks_type; /* disk.c */

/* captures.c */
extern const lbx_type lbx_template_type, lbx_templates_type;
extern const lbx_type lbx_snapshot_type, lbx_snapshots_type;
extern const lbx_type lbx_checkpoints_type, lbx_backups_type;

/* account.c */
extern const lbx_type lbx_domains_type, lbx_networks_type, lbx_tokens_type;
extern const lbx_type lbx_api_keys_type, lbx_env_type, lbx_secrets_type;

/* "Box" to its type; NULL: there is none. */
const lbx_type *lbx_type_named(const char *name);

/* Gives the box of an id or a name: what rows have for their `before`. */
extern const struct lbx_method lbx_get_box;

/* In the registry, and core.living: the temporary boxes that are to be destroyed,
** as keys. Takes one out of it, which is gone. */
#define LBX_LIVING "boxd.living"
void lbx_box_forget(lua_State *L, int idx);

/* Adds create(boxes, ...), which temporary makes its box by, and `living` to the
** core table on top. */
void lbx_open_box_core(lua_State *L);

/* Makes all metatables, and adds `compute_new` and `call` to the core table on
** top. */
void lbx_open_types(lua_State *L);

#endif
