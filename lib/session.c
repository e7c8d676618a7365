/* SPDX-License-Identifier: MIT */
/*
 * Sessions, the public face: names for VMs, BOs and syncobjs on one device.
 *
 * The session owns what its scripts create, and speaks to its host through events alone.
 */
#include <errno.h>

#include "session.h"

void pb_session_emit(struct panbind_session *session, const struct panbind_event *event)
{
	if (session->on_event)
		session->on_event(session->data, event);
}

int panbind_session_create(struct panbind_device *device, panbind_event_fn *on_event, void *data,
			   struct panbind_session **ret_session)
{
	struct panbind_session *session = calloc(1, sizeof(*session));

	if (!session)
		return -ENOMEM;
	session->device = panbind_device_ref(device);
	session->on_event = on_event;
	session->data = data;
	atomic_init(&session->stop, false);
	*ret_session = session;
	return 0;
}

void panbind_session_destroy(struct panbind_session *session)
{
	if (!session)
		return;
	pb_names_release(session);
	panbind_device_unref(session->device);
	free(session);
}

void panbind_session_stop(struct panbind_session *session)
{
	atomic_store_explicit(&session->stop, true, memory_order_relaxed);
}

void panbind_session_resume(struct panbind_session *session)
{
	atomic_store_explicit(&session->stop, false, memory_order_relaxed);
}

struct panbind_vm *panbind_session_vm(struct panbind_session *session, const char *name)
{
	const struct pb_entry *entry = pb_entry_find(session, name);

	return entry && entry->objects[PB_KIND_VM] ? entry->objects[PB_KIND_VM]->vm : NULL;
}

const char *panbind_session_vm_name(struct panbind_session *session, size_t index)
{
	const struct pb_objects *vms = &session->objects[PB_KIND_VM];

	return index < vms->count ? vms->items[index]->entry->name : NULL;
}

const char *panbind_session_bo_name(struct panbind_session *session, const struct panbind_bo *bo)
{
	const struct pb_object *object = pb_object_of_bo(session, bo);

	return object ? object->entry->name : NULL;
}
