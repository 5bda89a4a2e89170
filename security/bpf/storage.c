// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF LSM - Storage that lives and dies with an inode
 *
 * A map of type BPF_MAP_TYPE_INODE_STORAGE has at most one value per inode.
 * The value hangs on the inode's security blob, and goes when the blob goes.
 *
 * That is a grace period after security_inode_free(), because the inode can be
 * met until then: by the programs on inode_free_security, and by a path walk
 * under RCU, which asks programs on inode_permission. Any of them may create a
 * value. If values were freed any earlier, nobody would free that one, and
 * the map would keep a pointer into memory that has become something else.
 *
 * The inode does not last as long as its blob. Pipes free theirs at once, and
 * XFS gives an inode a new life with a new blob. So what owns the values, as
 * far as local storage is concerned, is the blob.
 */

#include <linux/bpf.h>
#include <linux/bpf_local_storage.h>
#include <linux/bpf_lsm.h>
#include <linux/btf_ids.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/rcupdate.h>

#include "setup.h"
#include "storage.h"

DEFINE_BPF_STORAGE_CACHE(inode_cache);

/* For callers that know there to be room for us, see inode_map_alloc(). */
static struct bpf_lsm_inode *blob_of(void *inode_security)
{
	return inode_security + bpf_lsm_blob_sizes.lbs_inode;
}

/* NULL for an inode that has not come from inode_init_always(). */
static struct bpf_lsm_inode *inode_blob(const struct inode *inode)
{
	return inode->i_security ? blob_of(inode->i_security) : NULL;
}

static struct bpf_local_storage __rcu **inode_storage_ptr(void *owner)
{
	struct bpf_lsm_inode *blob = owner;

	return &blob->storage;
}

static struct bpf_local_storage_data *
value_lookup(const struct bpf_lsm_inode *blob, struct bpf_map *map, bool cache)
{
	struct bpf_local_storage *storage;

	storage = rcu_dereference_check(blob->storage, bpf_rcu_lock_held());
	if (!storage)
		return NULL;
	return bpf_local_storage_lookup(storage,
					(struct bpf_local_storage_map *)map,
					cache);
}

static struct bpf_local_storage_data *
value_update(struct bpf_lsm_inode *blob, struct bpf_map *map, void *value,
	     u64 flags, gfp_t gfp)
{
	return bpf_local_storage_update(blob,
					(struct bpf_local_storage_map *)map,
					value, flags, gfp);
}

static int value_delete(const struct bpf_lsm_inode *blob, struct bpf_map *map)
{
	struct bpf_local_storage_data *sdata = value_lookup(blob, map, false);

	if (!sdata)
		return -ENOENT;

	bpf_selem_unlink(SELEM(sdata), false);
	return 0;
}

/**
 * __bpf_inode_storage_free - Free the values of an inode
 * @inode_security: the inode's security blob, which is about to be freed
 *
 * Context: RCU callback, after the grace period that security_inode_free() has
 * started: no program can reach the blob any more. A map that is being freed
 * still can, and local storage keeps the two from freeing the same value.
 */
void __bpf_inode_storage_free(void *inode_security)
{
	struct bpf_local_storage *storage;

	guard(rcu)();
	storage = rcu_dereference(blob_of(inode_security)->storage);
	if (storage)
		bpf_local_storage_destroy(storage);
}

/* What user space does: the key is the FD of a file that has the inode. */

static void *inode_map_lookup(struct bpf_map *map, void *key)
{
	CLASS(fd_raw, f)(*(int *)key);
	struct bpf_local_storage_data *sdata;
	struct bpf_lsm_inode *blob;

	if (fd_empty(f))
		return ERR_PTR(-EBADF);
	blob = inode_blob(file_inode(fd_file(f)));
	if (!blob)
		return NULL;

	sdata = value_lookup(blob, map, true);
	return sdata ? sdata->data : NULL;
}

static long inode_map_update(struct bpf_map *map, void *key, void *value,
			     u64 flags)
{
	CLASS(fd_raw, f)(*(int *)key);
	struct bpf_lsm_inode *blob;

	if (fd_empty(f))
		return -EBADF;
	blob = inode_blob(file_inode(fd_file(f)));
	if (!blob)
		return -EBADF;

	return PTR_ERR_OR_ZERO(value_update(blob, map, value, flags,
					    GFP_ATOMIC));
}

static long inode_map_delete(struct bpf_map *map, void *key)
{
	CLASS(fd_raw, f)(*(int *)key);
	struct bpf_lsm_inode *blob;

	if (fd_empty(f))
		return -EBADF;
	blob = inode_blob(file_inode(fd_file(f)));
	return blob ? value_delete(blob, map) : -ENOENT;
}

/* There is no FD to call a value by that nobody has opened. */
static int inode_map_next_key(struct bpf_map *map, void *key, void *next_key)
{
	return -ENOTSUPP;
}

static struct bpf_map *inode_map_alloc(union bpf_attr *attr)
{
	/*
	 * The room in the blob is there if the LSM has been initialised at
	 * boot. Refusing the map keeps everything else in here from being
	 * called without.
	 */
	if (!bpf_lsm_active)
		return ERR_PTR(-EOPNOTSUPP);

	return bpf_local_storage_map_alloc(attr, &inode_cache, false);
}

static void inode_map_free(struct bpf_map *map)
{
	bpf_local_storage_map_free(map, &inode_cache, NULL);
}

const struct bpf_map_ops inode_storage_map_ops = {
	.map_meta_equal = bpf_map_meta_equal,
	.map_alloc_check = bpf_local_storage_map_alloc_check,
	.map_alloc = inode_map_alloc,
	.map_free = inode_map_free,
	.map_get_next_key = inode_map_next_key,
	.map_lookup_elem = inode_map_lookup,
	.map_update_elem = inode_map_update,
	.map_delete_elem = inode_map_delete,
	.map_check_btf = bpf_local_storage_map_check_btf,
	.map_mem_usage = bpf_local_storage_map_mem_usage,
	.map_btf_id = &bpf_local_storage_map_btf_id[0],
	.map_owner_storage_ptr = inode_storage_ptr,
};

/* What programs do. The verifier adds @gfp: whether the program may sleep. */

BPF_CALL_5(bpf_inode_storage_get, struct bpf_map *, map, struct inode *, inode,
	   void *, value, u64, flags, gfp_t, gfp)
{
	struct bpf_local_storage_data *sdata;
	struct bpf_lsm_inode *blob;

	WARN_ON_ONCE(!bpf_rcu_lock_held());
	if (flags & ~BPF_LOCAL_STORAGE_GET_F_CREATE || !inode)
		return (unsigned long)NULL;
	blob = inode_blob(inode);
	if (!blob)
		return (unsigned long)NULL;

	sdata = value_lookup(blob, map, true);
	if (!sdata && (flags & BPF_LOCAL_STORAGE_GET_F_CREATE))
		sdata = value_update(blob, map, value, BPF_NOEXIST, gfp);
	return IS_ERR_OR_NULL(sdata) ? (unsigned long)NULL :
				       (unsigned long)sdata->data;
}

BPF_CALL_2(bpf_inode_storage_delete, struct bpf_map *, map,
	   struct inode *, inode)
{
	struct bpf_lsm_inode *blob;

	WARN_ON_ONCE(!bpf_rcu_lock_held());
	if (!inode)
		return -EINVAL;

	blob = inode_blob(inode);
	return blob ? value_delete(blob, map) : -ENOENT;
}

BTF_ID_LIST_SINGLE(inode_btf_ids, struct, inode)

const struct bpf_func_proto bpf_inode_storage_get_proto = {
	.func		= bpf_inode_storage_get,
	.ret_type	= RET_PTR_TO_MAP_VALUE_OR_NULL,
	.arg1_type	= ARG_CONST_MAP_PTR,
	.arg2_type	= ARG_PTR_TO_BTF_ID_OR_NULL,
	.arg2_btf_id	= &inode_btf_ids[0],
	.arg3_type	= ARG_PTR_TO_MAP_VALUE_OR_NULL,
	.arg4_type	= ARG_ANYTHING,
};

const struct bpf_func_proto bpf_inode_storage_delete_proto = {
	.func		= bpf_inode_storage_delete,
	.ret_type	= RET_INTEGER,
	.arg1_type	= ARG_CONST_MAP_PTR,
	.arg2_type	= ARG_PTR_TO_BTF_ID_OR_NULL,
	.arg2_btf_id	= &inode_btf_ids[0],
};
