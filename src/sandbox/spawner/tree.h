/*
** tree: copying and removing folders by descriptors, never through a link and
** never across a mount: their content belongs to an untrusted user, and may
** change meanwhile.
*/
#ifndef BX_TREE_H
#define BX_TREE_H

#include <stdint.h>

/* Copies a folder or file with all that it is: kinds, modes, owners, times,
** hard links, extended attributes, holes. `to` must not exist; on failure
** nothing of it is left. `skip`, or NULL, names an entry at the top that stays
** behind. 0 or an errno. */
int bx_tree_copy(const char *from, const char *to, const char *skip,
                 uint64_t *bytes);

/* The same for a program in a box, which may not give files to users that it
** does not have, nor every extended attribute: what of owners and attributes
** it can't keep stays as for a new file. */
int bx_tree_copy_own(const char *from, const char *to);

/* 0 or an errno; ENOENT when there is nothing, ENOTEMPTY when others fill the
** folder while it is removed: some of it is left then. A folder that others
** leave alone is removed whole, however large it is. */
int bx_tree_remove(const char *path);

#endif
