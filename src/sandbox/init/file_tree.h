/*
** file_tree: moving, removing and copying paths in a box, as its root. A path's
** last part is meant itself, never the target of a link; "." and ".." can't be
** it (EINVAL). Mounts in a box are the service's: no move or removal
** takes it along (EBUSY), and none does a part of its work before it knows.
*/
#ifndef BX_FILE_TREE_H
#define BX_FILE_TREE_H

/* Each: 0 or an errno. `to` must not exist: EEXIST. */
int bx_file_rename(const char *from, const char *to);
int bx_file_copy(const char *from, const char *to);
int bx_file_remove(const char *path);

#endif
