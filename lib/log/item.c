/* SPDX-License-Identifier: MIT */
/*
 * Items: an entry as it waits in the queue. Everything that can be wrong with an entry is found here before it is
 * queued; a group of items can then fail only because of the disk. What needs no name is done before the log's lock is
 * taken.
 *
 * The log's objects are kept as they are after everything that is queued, so that an entry may name an object whose
 * creation is queued just before it. When a group fails, all that is queued fails, and the objects go back.
 *
 * An entry that failed may name objects that do not exist. They get a row that never lived (destroyed by the entry that
 * created it), so that the log can show the name, and nothing else takes notice.
 */
#include <errno.h>

#include "log.h"

#define MAX_NAME   255
#define MAX_DIGEST (sizeof(((struct panbind_log_txn *)NULL)->digest) - 1)

/** What is being built. */
struct build {
	struct panbind_log *log;
	const struct panbind_log_entry *entry;
	uint64_t seq;
	struct pb_item *item;
	size_t created_room;
	char *text; /* where the next string goes */
	struct panbind_error *reterr;
};

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static int check_text(const char *text, size_t max, const char *what, struct panbind_error *reterr)
{
	if (text && strlen(text) > max)
		return pb_log_error(reterr, -E2BIG, "%s is longer than %zu bytes", what, max);
	return 0;
}

static int check_texts(const struct panbind_log_entry *entry, struct panbind_error *reterr)
{
	int err = check_text(entry->txn_id, PANBIND_LOG_MAX_TEXT, "the transaction id", reterr);

	if (err == 0)
		err = check_text(entry->argv, PANBIND_LOG_MAX_TEXT, "argv", reterr);
	if (err == 0)
		err = check_text(entry->comment, PANBIND_LOG_MAX_TEXT, "the comment", reterr);
	if (err == 0)
		err = check_text(entry->message, PANBIND_LOG_MAX_TEXT, "the message", reterr);
	if (err == 0)
		err = check_text(entry->digest, MAX_DIGEST, "the digest of a request", reterr);
	if (err == 0)
		err = check_text(entry->object.ref.name, MAX_NAME, "a name", reterr);
	for (size_t i = 0; i < entry->op_count && err == 0; i++) {
		err = check_text(entry->ops[i].vm.name, MAX_NAME, "a name", reterr);
		if (err == 0)
			err = check_text(entry->ops[i].bo.name, MAX_NAME, "a name", reterr);
		if (err == 0)
			err = check_text(entry->ops[i].syncs, PANBIND_LOG_MAX_TEXT, "a list of syncs", reterr);
	}
	return err;
}

/* What says something of a script, of several entries under one id. */
static int check_script(const struct panbind_log_entry *entry, struct panbind_error *reterr)
{
	bool begins = entry->kind == PANBIND_LOG_SCRIPT_BEGIN, part = entry->flags & PANBIND_LOG_PART;
	bool edge = begins || entry->kind == PANBIND_LOG_SCRIPT_END;

	if ((edge && part) || (entry->flags & PANBIND_LOG_MORE && !part) || (begins && entry->result))
		return pb_log_error(reterr, -EINVAL, "a senseless part of a script: flags 0x%x", entry->flags);
	if ((edge || part) && !entry->txn_id)
		return pb_log_error(reterr, -EINVAL, "a part of a script without a transaction id");
	return 0;
}

static int check_entry(const struct panbind_log_entry *entry, enum panbind_log_durability durability,
		       struct panbind_error *reterr)
{
	if (entry->kind < PANBIND_LOG_START || entry->kind > PANBIND_LOG_SCRIPT_END)
		return pb_log_error(reterr, -EINVAL, "no kind of entry: %d", entry->kind);
	if ((unsigned)durability > PANBIND_LOG_DURABLE_SYNC)
		return pb_log_error(reterr, -EINVAL, "no durability: %d", durability);
	if (entry->op_count > PANBIND_LOG_MAX_OPS)
		return pb_log_error(reterr, -E2BIG, "an entry of more than %u ops", PANBIND_LOG_MAX_OPS);
	if (entry->op_count && entry->kind != PANBIND_LOG_BIND)
		return pb_log_error(reterr, -EINVAL, "only entries of kind bind have ops");
	if ((unsigned)entry->outcome > PANBIND_OUTCOME_UNKNOWN || entry->result > 0 ||
	    (entry->result == 0) != (entry->outcome == PANBIND_OUTCOME_APPLIED))
		return pb_log_error(reterr, -EINVAL, "result %d does not go with outcome %d", entry->result,
				    entry->outcome);
	if (entry->outcome == PANBIND_OUTCOME_PARTIAL && entry->applied > entry->op_count &&
	    entry->applied != PANBIND_LOG_UNCLEAR)
		return pb_log_error(reterr, -EINVAL, "more ops applied than there are");
	if (check_script(entry, reterr) < 0)
		return -EINVAL;
	return check_texts(entry, reterr);
}

/* What the outcome says by itself need not be said by the caller. */
static uint32_t applied_ops(const struct panbind_log_entry *entry)
{
	if (entry->kind != PANBIND_LOG_BIND)
		return 0;
	if (entry->outcome == PANBIND_OUTCOME_APPLIED)
		return (uint32_t)entry->op_count;
	return entry->outcome == PANBIND_OUTCOME_PARTIAL   ? entry->applied
	       : entry->outcome == PANBIND_OUTCOME_UNKNOWN ? PANBIND_LOG_UNCLEAR
							   : 0;
}

static struct pb_object *find_alive(struct build *b, enum pb_object_kind kind, struct panbind_log_ref ref)
{
	struct pb_object *object = pb_objects_find(&b->log->objects, kind, ref);

	/* Rows that never lived may stand before the one that does. */
	for (; object; object = object->same_hash)
		if (object->kind == kind && object->destroyed_seq == 0 &&
		    (ref.generation == 0 || object->generation == ref.generation) &&
		    strcmp(object->name, ref.name) == 0)
			return object;
	return NULL;
}

static int add_object(struct build *b, const struct pb_object *template, const char *name, int64_t *ret_id)
{
	struct pb_item *item = b->item;
	struct pb_object *object;

	if (item->created_count == b->created_room) {
		size_t room = b->created_room ? b->created_room * 2 : 1;
		const struct pb_object **created = realloc(item->created, room * sizeof(struct pb_object *));

		if (!created)
			return -ENOMEM;
		item->created = created;
		b->created_room = room;
	}
	if (pb_objects_add(&b->log->objects, template, name, &object) < 0)
		return -ENOMEM;
	item->created[item->created_count++] = object;
	*ret_id = object->id;
	return 0;
}

/* The id of a name in something that failed. */
static int name_or_ghost(struct build *b, enum pb_object_kind kind, struct panbind_log_ref ref, int64_t *ret_id)
{
	const struct pb_object ghost = {
		.kind = kind, .generation = ref.generation, .created_seq = b->seq, .destroyed_seq = b->seq};
	const struct pb_object *object;

	*ret_id = 0;
	if (!ref.name)
		return 0;
	object = find_alive(b, kind, ref);
	if (!object) {
		object = pb_objects_find(&b->log->objects, kind, ref);
		if (object && object->created_seq != b->seq)
			object = NULL;
	}
	if (!object)
		return add_object(b, &ghost, ref.name, ret_id);
	*ret_id = object->id;
	return 0;
}

static int must_exist(struct build *b, enum pb_object_kind kind, struct panbind_log_ref ref, const char *what,
		      int64_t *ret_id)
{
	struct pb_object *object = ref.name ? find_alive(b, kind, ref) : NULL;

	if (!object)
		return pb_log_error(b->reterr, -ENOENT, "%s names a %s that the log does not know: %s generation %llu",
				    what, kind == PB_OBJECT_VM ? "VM" : "BO", ref.name ? ref.name : "(none)",
				    (unsigned long long)ref.generation);
	*ret_id = object->id;
	return 0;
}

static int resolve_applied_op(struct build *b, const struct panbind_log_op *op, struct pb_row_op *row)
{
	enum pb_effect effect = pb_op_effect(row->type);
	int err = must_exist(b, PB_OBJECT_VM, op->vm, "an op", &row->vm);

	if (err == 0 && effect == PB_EFFECT_MAP)
		err = must_exist(b, PB_OBJECT_BO, op->bo, "an op", &row->bo);
	if (err == 0 && (op->size == 0 || op->va + op->size < op->va || op->va + op->size > INT64_MAX))
		err = pb_log_error(b->reterr, -EINVAL, "an op that cannot have been applied: 0x%llx bytes at 0x%llx",
				   (unsigned long long)op->size, (unsigned long long)op->va);
	return err;
}

static int resolve_op(struct build *b, uint32_t index)
{
	const struct panbind_log_op *op = &b->entry->ops[index];
	struct pb_row_op *row = &b->item->ops[index];
	uint32_t applied = b->item->entry.applied;
	int err;

	if ((unsigned)op->type > PANBIND_LOG_UNKNOWN)
		return pb_log_error(b->reterr, -EINVAL, "no type of op: %d", op->type);
	*row = (struct pb_row_op){.index = index,
				  .type = (uint8_t)op->type,
				  .flags = op->flags,
				  .va = op->va,
				  .size = op->size,
				  .bo_offset = op->bo_offset,
				  .syncs = row->syncs};
	if (applied != PANBIND_LOG_UNCLEAR && index < applied && pb_op_effect(row->type) != PB_EFFECT_NOTHING)
		return resolve_applied_op(b, op, row);
	err = name_or_ghost(b, PB_OBJECT_VM, op->vm, &row->vm);
	return err < 0 ? err : name_or_ghost(b, PB_OBJECT_BO, op->bo, &row->bo);
}

static int create_object(struct build *b, enum pb_object_kind kind)
{
	const struct panbind_log_object *object = &b->entry->object;
	struct pb_object new = {
		.kind = kind,
		.generation = object->ref.generation,
		.size = object->size,
		.flags = object->flags,
		.created_seq = b->seq,
		.destroyed_seq = b->entry->result ? b->seq : 0,
	};
	int err = 0;

	if (b->entry->result == 0 && find_alive(b, kind, (struct panbind_log_ref){object->ref.name, 0}))
		return pb_log_error(b->reterr, -EEXIST, "%s exists in the log", object->ref.name);
	if (object->exclusive_vm.name && b->entry->result == 0)
		err = must_exist(b, PB_OBJECT_VM, object->exclusive_vm, "exclusive_vm", &new.exclusive_vm);
	return err < 0 ? err : add_object(b, &new, object->ref.name, &b->item->object);
}

static int resolve_object(struct build *b)
{
	enum panbind_log_kind kind = b->entry->kind;
	bool vm = kind == PANBIND_LOG_VM_CREATE || kind == PANBIND_LOG_VM_DESTROY || kind == PANBIND_LOG_VM_LOST;
	enum pb_object_kind object_kind = vm ? PB_OBJECT_VM : PB_OBJECT_BO;

	if (!pb_kind_has_object(kind))
		return 0;
	if (!b->entry->object.ref.name)
		return pb_log_error(b->reterr, -EINVAL, "an entry about an object without a name");
	if (kind == PANBIND_LOG_VM_CREATE || kind == PANBIND_LOG_BO_CREATE)
		return create_object(b, object_kind);
	if (b->entry->result)
		return name_or_ghost(b, object_kind, b->entry->object.ref, &b->item->object);
	return must_exist(b, object_kind, b->entry->object.ref, "the entry", &b->item->object);
}

/* The VMs whose mapping is not known from here on, each once. */
static int note_lost(struct build *b)
{
	struct pb_item *item = b->item;

	if (item->entry.kind == PANBIND_LOG_VM_LOST && item->entry.result == 0) {
		item->lost_vm = item->object;
		item->lost_vms = &item->lost_vm;
		item->lost_count = 1;
	}
	if (item->entry.kind != PANBIND_LOG_BIND || !pb_entry_unclear(&item->entry))
		return 0;
	item->lost_vms = calloc(item->entry.op_count + 1, sizeof(*item->lost_vms));
	if (!item->lost_vms)
		return -ENOMEM;
	for (size_t i = 0; i < item->entry.op_count; i++)
		if (item->ops[i].vm && (i == 0 || item->ops[i].vm != item->ops[i - 1].vm))
			item->lost_vms[item->lost_count++] = item->ops[i].vm;
	return 0;
}

static void lose(struct panbind_log *log, int64_t id, uint64_t seq)
{
	struct pb_object *vm = pb_objects_by_id(&log->objects, id);

	if (vm && vm->lost_seq == 0)
		vm->lost_seq = seq;
}

/* What the entry does to the objects that were there before it. Cannot fail. */
static void apply(struct build *b)
{
	struct pb_objects *objects = &b->log->objects;
	const struct pb_item *item = b->item;
	enum panbind_log_kind kind = b->entry->kind;

	for (size_t i = 0; kind == PANBIND_LOG_START && i < objects->count; i++)
		if (objects->list[i]->destroyed_seq == 0)
			objects->list[i]->destroyed_seq = b->seq;
	if ((kind == PANBIND_LOG_VM_DESTROY || kind == PANBIND_LOG_BO_DESTROY) && b->entry->result == 0)
		pb_objects_by_id(objects, item->object)->destroyed_seq = b->seq;
	for (size_t i = 0; i < item->lost_count; i++)
		lose(b->log, item->lost_vms[i], b->seq);
}

static const char *keep(struct build *b, const char *text)
{
	char *copy = b->text;

	if (!text)
		return NULL;
	b->text = stpcpy(copy, text) + 1;
	return copy;
}

static int allocate(struct build *b)
{
	const struct panbind_log_entry *entry = b->entry;
	size_t texts = text_size(entry->txn_id) + text_size(entry->argv) + text_size(entry->comment) +
		       text_size(entry->message) + text_size(entry->digest);
	size_t ops = entry->op_count * sizeof(struct pb_row_op);
	struct pb_item *item;

	for (size_t i = 0; i < entry->op_count; i++)
		texts += text_size(entry->ops[i].syncs);
	item = malloc(sizeof(*item) + ops + texts);
	if (!item)
		return -ENOMEM;
	*item = (struct pb_item){.entry = *entry, .bytes = sizeof(*item) + ops + texts};
	item->ops = (struct pb_row_op *)(item + 1);
	b->item = item;
	b->text = (char *)item->ops + ops;
	item->entry.txn_id = keep(b, entry->txn_id);
	item->entry.argv = keep(b, entry->argv);
	item->entry.comment = keep(b, entry->comment);
	item->entry.message = keep(b, entry->message);
	item->entry.digest = keep(b, entry->digest);
	item->entry.object = (struct panbind_log_object){0};
	item->entry.ops = NULL;
	return 0;
}

static int resolve(struct build *b)
{
	int err = resolve_object(b);

	for (uint32_t i = 0; i < b->entry->op_count && err == 0; i++)
		err = resolve_op(b, i);
	return err < 0 ? err : note_lost(b);
}

int pb_item_create(const struct panbind_log_entry *entry, enum panbind_log_durability durability,
		   struct pb_item **ret_item, struct panbind_error *reterr)
{
	struct build b = {.entry = entry};
	int err = check_entry(entry, durability, reterr);

	if (err < 0)
		return err;
	if (allocate(&b) < 0)
		return pb_log_error(reterr, -ENOMEM, "no memory for an entry");
	b.item->entry.durability = durability;
	b.item->entry.applied = applied_ops(entry);
	for (size_t i = 0; i < entry->op_count; i++)
		b.item->ops[i].syncs = keep(&b, entry->ops[i].syncs);
	*ret_item = b.item;
	return 0;
}

int pb_item_resolve(struct panbind_log *log, const struct panbind_log_entry *entry, struct pb_item *item,
		    struct panbind_error *reterr)
{
	struct build b = {.log = log, .entry = entry, .seq = log->next_seq, .item = item, .reterr = reterr};
	int err;

	item->entry.seq = b.seq;
	if (item->entry.time_ns == 0)
		item->entry.time_ns = pb_log_now_ns(CLOCK_REALTIME);
	err = resolve(&b);
	if (err < 0) {
		pb_item_forget_after(log, b.seq - 1);
		return err == -ENOMEM ? pb_log_error(reterr, err, "no memory for an entry") : err;
	}
	apply(&b);
	return 0;
}

void pb_item_free(struct pb_item *item)
{
	if (item->lost_vms != &item->lost_vm)
		free(item->lost_vms);
	free(item->created);
	free(item);
}

static bool made_later(void *data, const struct pb_object *object)
{
	return object->created_seq > *(const uint64_t *)data;
}

void pb_item_forget_after(struct panbind_log *log, uint64_t seq)
{
	struct pb_objects *objects = &log->objects;

	/* The ones made last stand last: nothing to walk when there are none. */
	if (objects->count && objects->list[objects->count - 1]->created_seq > seq)
		pb_objects_remove(objects, made_later, &seq);
	for (size_t i = 0; i < objects->count; i++) {
		if (objects->list[i]->destroyed_seq > seq)
			objects->list[i]->destroyed_seq = 0;
		if (objects->list[i]->lost_seq > seq)
			objects->list[i]->lost_seq = 0;
	}
}
