// SPDX-License-Identifier: MIT
#include "host/virtio/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/log.h"

#define MAGIC 0x6c6e726a6c756d31ull
#define HEAD_BYTES 4096u
#define ALIGN 8u

#define TYPE_COMMIT 0xffffu
#define FLAG_DROP 1u

/* The first page. */
struct head {
	_Atomic uint64_t magic; /* stored last: a half-made head is none */
	_Atomic uint32_t active;
	uint32_t zero;
	_Atomic uint64_t committed[2]; /* bytes of each half that count */
};

struct record {
	uint16_t type;
	uint16_t flags;
	uint32_t bytes; /* of payload */
	uint32_t id[3];
	uint32_t zero;
};

struct trailer {
	struct record header;
	_Atomic uint64_t tag;
};

_Static_assert(sizeof(struct record) == 24 && sizeof(struct trailer) == 32, "all are multiples of ALIGN");

/* A live record, and its place in two lists: of its bucket, and of all in the order of their last put. */
struct entry {
	struct journal_key key;
	uint32_t offset, bytes;
	uint32_t previous, next, chain; /* indices of entries; 0: none, and the ring's head */
	uint32_t change; /* the number of the last of the changes that is about it, from 1; 0: none */
};

/* A change that is written and not committed. */
struct change {
	struct journal_key key;
	bool drop;
	uint32_t offset, bytes;
};

struct journal {
	uint8_t *memory;
	size_t memory_bytes;
	struct head *head;
	uint32_t half_bytes, limit_bytes;
	uint32_t active;
	uint32_t committed; /* where the next transaction starts */
	uint32_t used;	    /* committed, and what is not */
	uint32_t trailer_at;
	uint64_t last_tag;
	/* The index: entries[0] is the head of the ring; free ones are chained from @free_entry. */
	struct entry *entries;
	uint32_t entry_capacity, entry_end, free_entry;
	uint32_t *buckets;
	uint32_t bucket_count; /* a power of 2 */
	uint32_t live;
	uint64_t live_bytes;
	struct change *changes;
	uint32_t change_count, change_capacity;
	/* What live records will take when the changes are committed; one that is new twice among them counts twice. */
	uint64_t next_bytes;
	uint64_t commits, compactions;
	bool loaded;
	/* What journal_load() found, laid out as the active half was then. */
	uint8_t *found;
	uint32_t found_bytes;
};

static uint32_t whole(uint64_t payload_bytes)
{
	return (uint32_t)(sizeof(struct record) + (payload_bytes + ALIGN - 1) / ALIGN * ALIGN);
}

static uint8_t *half(const struct journal *j, uint32_t which)
{
	return j->memory + HEAD_BYTES + (size_t)which * j->half_bytes;
}

/* ---- the index ---- */

static bool same(const struct journal_key *a, const struct journal_key *b)
{
	return a->type == b->type && a->id[0] == b->id[0] && a->id[1] == b->id[1] && a->id[2] == b->id[2];
}

static uint32_t *bucket_of(const struct journal *j, const struct journal_key *key)
{
	uint64_t h = key->id[0] * 0x9e3779b97f4a7c15ull;

	h = (h ^ (h >> 29) ^ key->id[1]) * 0xbf58476d1ce4e5b9ull;
	h = (h ^ (h >> 32) ^ key->id[2] ^ (uint64_t)key->type << 40) * 0x94d049bb133111ebull;
	return &j->buckets[(h >> 32) & (j->bucket_count - 1)];
}

static uint32_t find(const struct journal *j, const struct journal_key *key)
{
	uint32_t at = *bucket_of(j, key);

	while (at && !same(&j->entries[at].key, key))
		at = j->entries[at].chain;
	return at;
}

/* Make room for @more entries besides those there are, so that a commit can't fail. */
static int reserve_entries(struct journal *j, uint32_t more)
{
	uint32_t needed = j->live + more + 1, capacity = j->entry_capacity, count;
	struct entry *entries;
	uint32_t *buckets;

	if (needed <= capacity)
		return 0;
	while (capacity < needed)
		capacity = capacity ? 2 * capacity : 64;
	entries = realloc(j->entries, capacity * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	if (j->entry_capacity == 0) {
		entries[0] = (struct entry){0};
		j->entry_end = 1;
	}
	j->entries = entries;
	count = 2 * capacity;
	buckets = calloc(count, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	free(j->buckets);
	j->buckets = buckets;
	j->bucket_count = count;
	j->entry_capacity = capacity;
	for (uint32_t at = entries[0].next; at; at = entries[at].next) {
		uint32_t *bucket = bucket_of(j, &entries[at].key);

		entries[at].chain = *bucket;
		*bucket = at;
	}
	return 0;
}

static int reserve_changes(struct journal *j)
{
	uint32_t capacity = j->change_capacity ? 2 * j->change_capacity : 64;
	struct change *changes;

	if (j->change_count < j->change_capacity)
		return 0;
	changes = realloc(j->changes, capacity * sizeof(*changes));
	if (!changes)
		return -ENOMEM;
	j->changes = changes;
	j->change_capacity = capacity;
	return 0;
}

static void unlink_entry(struct journal *j, uint32_t at)
{
	struct entry *e = &j->entries[at];

	j->entries[e->previous].next = e->next;
	j->entries[e->next].previous = e->previous;
}

static void link_last(struct journal *j, uint32_t at)
{
	struct entry *e = &j->entries[at], *ring = &j->entries[0];

	e->previous = ring->previous;
	e->next = 0;
	j->entries[e->previous].next = at;
	ring->previous = at;
}

static void forget_entry(struct journal *j, const struct journal_key *key)
{
	uint32_t *link = bucket_of(j, key), at;

	while (*link && !same(&j->entries[*link].key, key))
		link = &j->entries[*link].chain;
	at = *link;
	if (!at)
		return;
	*link = j->entries[at].chain;
	unlink_entry(j, at);
	j->live--;
	j->live_bytes -= whole(j->entries[at].bytes);
	j->entries[at].chain = j->free_entry;
	j->free_entry = at;
}

/* Room was reserved. */
static void enter(struct journal *j, const struct journal_key *key, uint32_t offset, uint32_t bytes)
{
	uint32_t at = find(j, key);

	if (at) {
		unlink_entry(j, at);
		j->live_bytes -= whole(j->entries[at].bytes);
	} else {
		uint32_t *bucket = bucket_of(j, key);

		at = j->free_entry;
		if (at)
			j->free_entry = j->entries[at].chain;
		else
			at = j->entry_end++;
		assert(at < j->entry_capacity);
		j->entries[at].key = *key;
		j->entries[at].chain = *bucket;
		*bucket = at;
		j->live++;
	}
	j->entries[at].offset = offset;
	j->entries[at].bytes = bytes;
	j->entries[at].change = 0;
	j->live_bytes += whole(bytes);
	link_last(j, at);
}

static void apply_changes(struct journal *j)
{
	for (uint32_t i = 0; i < j->change_count; i++) {
		const struct change *c = &j->changes[i];

		if (c->drop)
			forget_entry(j, &c->key);
		else
			enter(j, &c->key, c->offset, c->bytes);
	}
	j->change_count = 0;
	j->next_bytes = j->live_bytes;
}

/* What the record of @key is counted with in next_bytes: as it is live, or as it will be. */
static uint32_t counted_bytes(const struct journal *j, const struct journal_key *key)
{
	const uint32_t at = find(j, key);
	const struct change *c;

	if (!at)
		return 0;
	if (!j->entries[at].change)
		return whole(j->entries[at].bytes);
	c = &j->changes[j->entries[at].change - 1];
	return c->drop ? 0 : whole(c->bytes);
}

/* ---- writing ---- */

static void write_header(uint8_t *to, const struct journal_key *key, uint16_t flags, uint32_t bytes)
{
	const struct record r = {
		.type = key->type, .flags = flags, .bytes = bytes, .id = {key->id[0], key->id[1], key->id[2]}};

	memcpy(to, &r, sizeof(r));
}

/* Write a trailer at @at of half @which; it counts once the half's length is stored. Returns the new length. */
static uint32_t write_trailer(struct journal *j, uint32_t which, uint32_t at)
{
	struct trailer *t = (struct trailer *)(half(j, which) + at);
	const struct record header = {.type = TYPE_COMMIT, .bytes = sizeof(t->tag)};

	t->header = header;
	atomic_store_explicit(&t->tag, j->last_tag, memory_order_relaxed);
	j->trailer_at = at;
	return at + (uint32_t)sizeof(*t);
}

/* What half @which holds up to @bytes becomes the journal, in one step. */
static void flip(struct journal *j, uint32_t which, uint32_t bytes)
{
	/* Release, twice: the records before the length, the length before the flip. journal_load() reads in reverse. */
	atomic_store_explicit(&j->head->committed[which], bytes, memory_order_release);
	atomic_store_explicit(&j->head->active, which, memory_order_release);
	j->active = which;
	j->committed = bytes;
}

/* Copy what counts to the other half, and what is not committed behind it. All of it fits: see room_for(). */
static void compact(struct journal *j)
{
	const uint32_t other = !j->active;
	const uint8_t *from = half(j, j->active);
	uint8_t *to = half(j, other);
	uint32_t at = 0;

	for (uint32_t i = j->entries[0].next; i; i = j->entries[i].next) {
		struct entry *e = &j->entries[i];

		/* The header is made anew: what lies in the memory is not trusted. */
		write_header(to + at, &e->key, 0, e->bytes);
		memcpy(to + at + sizeof(struct record), from + e->offset + sizeof(struct record),
		       whole(e->bytes) - sizeof(struct record));
		e->offset = at;
		at += whole(e->bytes);
	}
	flip(j, other, write_trailer(j, other, at));
	at = j->committed;
	for (uint32_t i = 0; i < j->change_count; i++) {
		struct change *c = &j->changes[i];

		write_header(to + at, &c->key, c->drop ? FLAG_DROP : 0, c->bytes);
		memcpy(to + at + sizeof(struct record), from + c->offset + sizeof(struct record),
		       whole(c->bytes) - sizeof(struct record));
		c->offset = at;
		at += whole(c->bytes);
	}
	j->used = at;
	j->compactions++;
}

/* Room for @bytes and a trailer in the active half, by compaction where that helps. */
static bool room_for(struct journal *j, uint32_t bytes)
{
	const uint32_t pending = j->used - j->committed;

	if ((uint64_t)j->used + bytes + sizeof(struct trailer) <= j->half_bytes)
		return true;
	if (j->live_bytes + sizeof(struct trailer) + pending + bytes + sizeof(struct trailer) > j->half_bytes)
		return false;
	compact(j);
	return true;
}

static void note_change(struct journal *j, const struct journal_key *key, bool drop, uint32_t bytes)
{
	const uint32_t at = find(j, key);

	j->next_bytes = j->next_bytes - counted_bytes(j, key) + (drop ? 0 : whole(bytes));
	j->changes[j->change_count++] = (struct change){.key = *key, .drop = drop, .offset = j->used, .bytes = bytes};
	if (at)
		j->entries[at].change = j->change_count;
	j->used += whole(bytes);
}

int journal_put2(struct journal *j, const struct journal_key *key, const void *first, size_t first_bytes,
		 const void *second, size_t second_bytes)
{
	uint64_t bytes = (uint64_t)first_bytes + second_bytes;
	uint8_t *to;
	int err;

	assert(key->type >= 1 && key->type <= JOURNAL_MAX_TYPE);
	if (first_bytes > j->limit_bytes || second_bytes > j->limit_bytes ||
	    j->next_bytes - counted_bytes(j, key) + whole(bytes) > j->limit_bytes)
		return -ENOSPC;
	err = reserve_entries(j, j->change_count + 1);
	if (err == 0)
		err = reserve_changes(j);
	if (err < 0)
		return err;
	if (!room_for(j, whole(bytes)))
		return -ENOSPC;
	to = half(j, j->active) + j->used;
	write_header(to, key, 0, (uint32_t)bytes);
	to += sizeof(struct record);
	if (first_bytes > 0)
		memcpy(to, first, first_bytes);
	if (second_bytes > 0)
		memcpy(to + first_bytes, second, second_bytes);
	memset(to + bytes, 0, whole(bytes) - sizeof(struct record) - bytes);
	note_change(j, key, false, (uint32_t)bytes);
	return 0;
}

int journal_put(struct journal *j, const struct journal_key *key, const void *payload, size_t bytes)
{
	return journal_put2(j, key, payload, bytes, NULL, 0);
}

void journal_drop(struct journal *j, const struct journal_key *key)
{
	assert(key->type >= 1 && key->type <= JOURNAL_MAX_TYPE);
	if (!find(j, key) && j->change_count == 0)
		return;
	/* A commit makes room: of the list of changes at once, of the half by the next compaction. */
	if (reserve_changes(j) < 0 || !room_for(j, whole(0))) {
		journal_commit(j, 0);
		if (!find(j, key) || !room_for(j, whole(0)))
			return;
	}
	write_header(half(j, j->active) + j->used, key, FLAG_DROP, 0);
	note_change(j, key, true, 0);
}

static bool matches(const struct journal_key *key, uint16_t first, uint16_t last, const uint32_t *ids, unsigned words)
{
	return key->type >= first && key->type <= last &&
	       (words == 0 || memcmp(key->id, ids, words * sizeof(*ids)) == 0);
}

void journal_drop_all(struct journal *j, uint16_t first, uint16_t last, const uint32_t *ids, unsigned words)
{
	uint64_t commits;

	/* A commit on the way moves entries: once more then. What was dropped before is not there any more. */
	do {
		commits = j->commits;
		for (uint32_t at = j->entries[0].next; at; at = j->entries[at].next) {
			const struct journal_key key = j->entries[at].key;

			if (matches(&key, first, last, ids, words))
				journal_drop(j, &key);
		}
		for (uint32_t i = 0, count = j->change_count; i < count && commits == j->commits; i++) {
			const struct journal_key key = j->changes[i].key;

			if (!j->changes[i].drop && !find(j, &key) && matches(&key, first, last, ids, words))
				journal_drop(j, &key);
		}
	} while (commits != j->commits);
}

void journal_commit(struct journal *j, uint64_t tag)
{
	if (tag != 0)
		j->last_tag = tag;
	if (j->change_count == 0) {
		struct trailer *t = (struct trailer *)(half(j, j->active) + j->trailer_at);

		/* The last commit gets another name: nothing else changed. */
		if (tag != 0)
			atomic_store_explicit(&t->tag, tag, memory_order_release);
		return;
	}
	j->used = write_trailer(j, j->active, j->used);
	/* Release: whoever sees this length sees the records before it. Pairs with read_copy(). */
	atomic_store_explicit(&j->head->committed[j->active], j->used, memory_order_release);
	j->committed = j->used;
	j->commits++;
	apply_changes(j);
}

void journal_clear(struct journal *j)
{
	j->change_count = 0;
	j->next_bytes = 0;
	flip(j, !j->active, write_trailer(j, !j->active, 0));
	j->used = j->committed;
	j->live = 0;
	j->live_bytes = 0;
	j->entry_end = 1;
	j->free_entry = 0;
	j->entries[0] = (struct entry){0};
	memset(j->buckets, 0, j->bucket_count * sizeof(*j->buckets));
}

/* ---- opening ---- */

int journal_memfd(size_t bytes)
{
	int fd = memfd_create("mullion-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING), err;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/*
 * A copy of what counts, or NULL and *bytes 0: there is nothing, or nothing that can be used, and *why says so. The
 * memory is read once.
 */
static int read_copy(struct journal *j, uint8_t **copy, uint32_t *bytes, const char **why)
{
	uint64_t magic = atomic_load_explicit(&j->head->magic, memory_order_acquire), committed;
	uint32_t active;

	*copy = NULL;
	*bytes = 0;
	*why = NULL;
	if (magic == 0)
		return 0;
	if (magic != MAGIC) {
		*why = "it is of another version, or overwritten";
		return 0;
	}
	/* Acquire: pairs with flip() and journal_commit(). */
	active = atomic_load_explicit(&j->head->active, memory_order_acquire);
	if (active > 1) {
		*why = "its head is damaged";
		return 0;
	}
	committed = atomic_load_explicit(&j->head->committed[active], memory_order_acquire);
	if (committed > j->half_bytes || committed % ALIGN != 0) {
		*why = "its length is damaged";
		return 0;
	}
	if (committed == 0)
		return 0;
	*copy = malloc(committed);
	if (!*copy)
		return -ENOMEM;
	j->active = active;
	*bytes = (uint32_t)committed;
	memcpy(*copy, half(j, active), committed);
	return 0;
}

static bool is_good(const struct record *r, uint32_t left)
{
	if (r->zero != 0 || r->bytes > left - sizeof(*r) || whole(r->bytes) > left)
		return false;
	if (r->type == TYPE_COMMIT)
		return r->flags == 0 && r->bytes == sizeof(uint64_t);
	return r->type >= 1 && r->type <= JOURNAL_MAX_TYPE &&
	       (r->flags == 0 || (r->flags == FLAG_DROP && r->bytes == 0));
}

/* Enter the transactions of @copy into the index, up to the first that is not whole. */
static int read_transactions(struct journal *j, const uint8_t *copy, uint32_t bytes, const char **why)
{
	uint32_t at = 0;
	int err;

	while (at < bytes) {
		struct record r;

		if (bytes - at < sizeof(r)) {
			*why = "a record is cut";
			break;
		}
		memcpy(&r, copy + at, sizeof(r));
		if (!is_good(&r, bytes - at)) {
			*why = "a record makes no sense";
			break;
		}
		if (r.type == TYPE_COMMIT) {
			uint64_t tag;

			memcpy(&tag, copy + at + sizeof(r), sizeof(tag));
			if (tag != 0)
				j->last_tag = tag;
			apply_changes(j);
		} else {
			const struct journal_key key = {r.type, {r.id[0], r.id[1], r.id[2]}};

			err = reserve_entries(j, j->change_count + 1);
			if (err == 0)
				err = reserve_changes(j);
			if (err < 0)
				return err;
			j->used = at;
			note_change(j, &key, r.flags & FLAG_DROP, r.bytes);
		}
		at += whole(r.bytes);
	}
	if (j->change_count > 0 && !*why)
		*why = "the last change is not whole";
	/* They are none. */
	for (uint32_t i = 0; i < j->change_count; i++)
		j->entries[find(j, &j->changes[i].key)].change = 0;
	j->change_count = 0;
	/* More than was ever let in: the newest go. */
	while (j->live_bytes > j->limit_bytes) {
		const struct journal_key key = j->entries[j->entries[0].previous].key;

		*why = "there is more than may be";
		forget_entry(j, &key);
	}
	j->next_bytes = j->live_bytes;
	return 0;
}

/* Lay the live records of @copy out in j->found, as they are written then. */
static int gather(struct journal *j, const uint8_t *copy)
{
	uint32_t at = 0;

	if (j->live == 0)
		return 0;
	j->found = malloc(j->live_bytes);
	if (!j->found)
		return -ENOMEM;
	for (uint32_t i = j->entries[0].next; i; i = j->entries[i].next) {
		struct entry *e = &j->entries[i];

		write_header(j->found + at, &e->key, 0, e->bytes);
		memcpy(j->found + at + sizeof(struct record), copy + e->offset + sizeof(struct record),
		       whole(e->bytes) - sizeof(struct record));
		e->offset = at;
		at += whole(e->bytes);
	}
	j->found_bytes = at;
	return 0;
}

int journal_load(struct journal *j)
{
	const char *why;
	uint8_t *copy;
	uint32_t bytes, other;
	int err;

	if (j->loaded)
		return 0;
	err = reserve_entries(j, 1);
	if (err == 0)
		err = reserve_changes(j); /* so that there is always room for a drop */
	if (err < 0)
		return err;
	err = read_copy(j, &copy, &bytes, &why);
	if (err == 0 && copy)
		err = read_transactions(j, copy, bytes, &why);
	if (err == 0 && copy)
		err = gather(j, copy);
	free(copy);
	if (err < 0)
		return err;
	if (why)
		log_line(LOG_TOPIC_VIRTIO, LOG_WARN, "journal: %s; %u records are good and used", why, j->live);
	other = !j->active;
	if (j->found_bytes > 0)
		memcpy(half(j, other), j->found, j->found_bytes);
	flip(j, other, write_trailer(j, other, j->found_bytes));
	j->used = j->committed;
	atomic_store_explicit(&j->head->magic, MAGIC, memory_order_release);
	j->loaded = true;
	return 0;
}

int journal_map(int fd, struct journal **out)
{
	struct journal *j;
	struct stat st;
	void *memory;
	int err;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < (off_t)JOURNAL_MIN_BYTES || st.st_size > (off_t)JOURNAL_MAX_BYTES)
		return -EINVAL;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	j->memory_bytes = (size_t)st.st_size;
	memory = mmap(NULL, j->memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		err = -errno;
		free(j);
		return err;
	}
	j->memory = memory;
	j->head = memory;
	j->half_bytes = (uint32_t)((j->memory_bytes - HEAD_BYTES) / 2 / ALIGN * ALIGN);
	j->limit_bytes = j->half_bytes / 4 * 3;
	*out = j;
	return 0;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	munmap(j->memory, j->memory_bytes);
	free(j->found);
	free(j->changes);
	free(j->buckets);
	free(j->entries);
	free(j);
}

/* ---- reading ---- */

uint64_t journal_last_tag(const struct journal *j)
{
	return j->last_tag;
}

bool journal_has(const struct journal *j, const struct journal_key *key)
{
	return find(j, key) != 0;
}

const void *journal_get(const struct journal *j, const struct journal_key *key, size_t *bytes)
{
	const uint8_t *active = half(j, j->active);
	uint32_t at;

	for (uint32_t i = j->change_count; i > 0; i--) {
		const struct change *c = &j->changes[i - 1];

		if (!same(&c->key, key))
			continue;
		*bytes = c->bytes;
		return c->drop ? NULL : active + c->offset + sizeof(struct record);
	}
	at = find(j, key);
	*bytes = j->entries[at].bytes;
	return at ? active + j->entries[at].offset + sizeof(struct record) : NULL;
}

unsigned journal_pending(const struct journal *j)
{
	return j->change_count;
}

bool journal_next(const struct journal *j, size_t *at, struct journal_key *key, const void **payload, size_t *bytes)
{
	struct record r;

	if (*at >= j->found_bytes)
		return false;
	memcpy(&r, j->found + *at, sizeof(r));
	*key = (struct journal_key){r.type, {r.id[0], r.id[1], r.id[2]}};
	*payload = j->found + *at + sizeof(r);
	*bytes = r.bytes;
	*at += whole(r.bytes);
	return true;
}

void journal_restored(struct journal *j)
{
	free(j->found);
	j->found = NULL;
	j->found_bytes = 0;
}

void journal_get_stats(const struct journal *j, struct journal_stats *out)
{
	*out = (struct journal_stats){
		.records = j->live,
		.live_bytes = (size_t)j->live_bytes,
		.limit_bytes = j->limit_bytes,
		.compactions = j->compactions,
	};
}
