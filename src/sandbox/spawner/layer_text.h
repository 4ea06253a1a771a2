/*
** layer_text: what the files of the layer say (layer.c). Strings returned are
** the caller's to free; NULL means no memory.
*/
#ifndef BX_LAYER_TEXT_H
#define BX_LAYER_TEXT_H

/* A line "NAME" + rest for every name in a file like /etc/passwd: nobody can
** log in with a password, and no hash of this machine shows. */
char *bx_layer_locked(const char *names, const char *rest);

/* This machine's name servers, without those that only it can reach, after one
** of boxes' own, or NULL. */
char *bx_layer_resolv(const char *own);

/* /etc/passwd and /etc/group of boxes, from these files of the machine: without
** the entry of a person with boxd's name or number, and with boxd, a member of
** the groups sudo and docker. */
char *bx_layer_users(const char *file);
char *bx_layer_groups(const char *file);

extern const char bx_layer_sudoers[], bx_layer_sudoers_boxd[];
extern const char bx_layer_policy[]; /* packages do not start services */
extern const char bx_layer_tmpfiles[]; /* /tmp is not emptied at boot */

#endif
