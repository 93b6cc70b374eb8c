// SPDX-License-Identifier: MIT
#include "samples/cluster/mesh.h"
#include "guest-drivers/bare/virgl.h"

#define MAX_POINTS 96
#define SOFT PX(1) /* width of an edge that fades out */

/* sin(i * 90 degrees / 64) * 16384 */
static const uint16_t quarter[65] = {
	0,     402,   804,   1205,  1606,  2006,  2404,	 2801,	3196,  3590,  3981,  4370,  4756,
	5139,  5520,  5897,  6270,  6639,  7005,  7366,	 7723,	8076,  8423,  8765,  9102,  9434,
	9760,  10080, 10394, 10702, 11003, 11297, 11585, 11866, 12140, 12406, 12665, 12916, 13160,
	13395, 13623, 13842, 14053, 14256, 14449, 14635, 14811, 14978, 15137, 15286, 15426, 15557,
	15679, 15791, 15893, 15986, 16069, 16143, 16207, 16261, 16305, 16340, 16364, 16379, 16384,
};

int32_t sine(int32_t angle)
{
	int32_t a = angle & (TURN - 1), sign = 1, i, fraction;

	if (a >= TURN / 2) {
		a -= TURN / 2;
		sign = -1;
	}
	if (a > TURN / 4)
		a = TURN / 2 - a;
	i = a >> 6;
	fraction = a & 63;
	if (i == 64)
		return sign * ONE_Q14;
	return sign * (quarter[i] + ((quarter[i + 1] - quarter[i]) * fraction + 32) / 64);
}

int32_t cosine(int32_t angle)
{
	return sine(angle + TURN / 4);
}

struct part part_start(const struct mesh *m)
{
	return (struct part){.first = m->index_count};
}

void part_end(const struct mesh *m, struct part *p)
{
	p->count = m->index_count - p->first;
}

/* @t: 0..256. Two channels at a time. */
static uint32_t mix(uint32_t a, uint32_t b, uint32_t t)
{
	uint32_t even = (a & 0xff00ff) * (256 - t) + (b & 0xff00ff) * t;
	uint32_t odd = ((a >> 8) & 0xff00ff) * (256 - t) + ((b >> 8) & 0xff00ff) * t;

	return ((even >> 8) & 0xff00ff) | (odd & 0xff00ff00);
}

/* One vertex a rail at (x, y), along the normal (Q14). Returns false when the mesh is full. */
static bool section(struct mesh *m, int32_t x, int32_t y, int32_t nx, int32_t ny, uint32_t t, bool fade,
		    const struct rail *rails, unsigned count)
{
	if (m->vertex_count + count > m->vertex_max) {
		m->full = true;
		return false;
	}
	for (unsigned i = 0; i < count; i++) {
		struct vertex *v = &m->vertices[m->vertex_count++];

		v->x = virgl_float(x + (int32_t)(((int64_t)nx * rails[i].offset) >> 14), 8);
		v->y = virgl_float(y + (int32_t)(((int64_t)ny * rails[i].offset) >> 14), 8);
		v->rgba = mix(rails[i].from, rails[i].to, t);
		if (fade)
			v->rgba = ALPHA(v->rgba, 0);
	}
	return true;
}

/* Quads between the sections of @count vertices that start at @a and @b. */
static void join(struct mesh *m, uint32_t a, uint32_t b, unsigned count)
{
	if (m->index_count + 6 * (count - 1) > m->index_max) {
		m->full = true;
		return;
	}
	for (unsigned i = 0; i + 1 < count; i++) {
		uint16_t *o = &m->indices[m->index_count];

		o[0] = (uint16_t)(a + i);
		o[1] = (uint16_t)(b + i);
		o[2] = (uint16_t)(a + i + 1);
		o[3] = (uint16_t)(a + i + 1);
		o[4] = (uint16_t)(b + i);
		o[5] = (uint16_t)(b + i + 1);
		m->index_count += 6;
	}
}

void mesh_arc(struct mesh *m, int32_t cx, int32_t cy, int32_t radius, int32_t from, int32_t to, unsigned segments,
	      const struct rail *rails, unsigned count)
{
	for (unsigned i = 0; i <= segments; i++) {
		int32_t angle = from + (to - from) * (int32_t)i / (int32_t)segments;
		int32_t nx = cosine(angle), ny = sine(angle);
		uint32_t at = m->vertex_count;

		if (!section(m, cx + (int32_t)(((int64_t)nx * radius) >> 14),
			     cy + (int32_t)(((int64_t)ny * radius) >> 14), nx, ny, i * 256 / segments, false, rails,
			     count))
			return;
		if (i)
			join(m, at - count, at, count);
	}
}

static uint32_t root(uint64_t v)
{
	uint64_t r = 0;

	if (!v)
		return 0;
	/* From the highest power of four that is not above v. */
	for (uint64_t bit = 1ull << (62 - (__builtin_clzll(v) & 62)); bit; bit >>= 2) {
		if (v >= r + bit) {
			v -= r + bit;
			r = (r >> 1) + bit;
		} else {
			r >>= 1;
		}
	}
	return (uint32_t)r;
}

struct direction {
	int32_t x, y; /* Q14 */
};

static struct direction direction(const int32_t a[2], const int32_t b[2])
{
	int64_t dx = b[0] - a[0], dy = b[1] - a[1];
	int64_t length = root((uint64_t)(dx * dx + dy * dy));

	if (!length)
		return (struct direction){ONE_Q14, 0};
	return (struct direction){(int32_t)(dx * ONE_Q14 / length), (int32_t)(dy * ONE_Q14 / length)};
}

void mesh_polyline(struct mesh *m, const int32_t (*points)[2], unsigned n, bool closed, const struct rail *rails,
		   unsigned count)
{
	struct direction d[MAX_POINTS];
	uint32_t first = m->vertex_count, last = first;
	unsigned lines = closed ? n : n - 1;

	if (n < 2 || n > MAX_POINTS) {
		m->full = true;
		return;
	}
	for (unsigned i = 0; i < lines; i++)
		d[i] = direction(points[i], points[(i + 1) % n]);

	if (!closed) { /* the line's end fades out too */
		if (!section(m, points[0][0] - (d[0].x >> 6), points[0][1] - (d[0].y >> 6), -d[0].y, d[0].x, 0, true,
			     rails, count))
			return;
	}
	for (unsigned i = 0; i < n; i++) {
		struct direction in = i ? d[i - 1] : closed ? d[lines - 1] : d[0];
		struct direction out = i < lines ? d[i] : d[lines - 1];
		/* Mitre: (n1 + n2) / (1 + n1.n2), limited where the line turns back on itself. */
		int64_t dot = ((int64_t)in.x * out.x + (int64_t)in.y * out.y) >> 14;
		int64_t scale = ONE_Q14 + dot < ONE_Q14 / 3 ? ONE_Q14 / 3 : ONE_Q14 + dot;
		int32_t nx = (int32_t)(-(int64_t)(in.y + out.y) * ONE_Q14 / scale);
		int32_t ny = (int32_t)((int64_t)(in.x + out.x) * ONE_Q14 / scale);

		last = m->vertex_count;
		if (!section(m, points[i][0], points[i][1], nx, ny, n > 1 ? i * 256 / (n - 1) : 0, false, rails, count))
			return;
		if (last != first)
			join(m, last - count, last, count);
	}
	if (closed) {
		join(m, last, first, count);
	} else {
		const int32_t *end = points[n - 1];
		struct direction e = d[lines - 1];

		last = m->vertex_count;
		if (section(m, end[0] + (e.x >> 6), end[1] + (e.y >> 6), -e.y, e.x, 256, true, rails, count))
			join(m, last - count, last, count);
	}
}

void mesh_stroke(struct mesh *m, const int32_t (*points)[2], unsigned n, bool closed, int32_t width, uint32_t rgba)
{
	int32_t core = width / 2 - SOFT / 2;
	uint32_t clear = ALPHA(rgba, 0);
	struct rail wide[4] = {
		{-core - SOFT, clear, clear}, {-core, rgba, rgba}, {core, rgba, rgba}, {core + SOFT, clear, clear}};
	struct rail thin[3] = {{-width, clear, clear}, {0, rgba, rgba}, {width, clear, clear}};

	if (core > SOFT / 4)
		mesh_polyline(m, points, n, closed, wide, 4);
	else
		mesh_polyline(m, points, n, closed, thin, 3);
}

void mesh_ring(struct mesh *m, int32_t cx, int32_t cy, int32_t radius, int32_t width, int32_t from, int32_t to,
	       unsigned segments, uint32_t rgba)
{
	int32_t half = width / 2;
	uint32_t clear = ALPHA(rgba, 0);
	struct rail rails[4] = {
		{-half - SOFT / 2, clear, clear},
		{-half + SOFT / 2, rgba, rgba},
		{half - SOFT / 2, rgba, rgba},
		{half + SOFT / 2, clear, clear},
	};

	mesh_arc(m, cx, cy, radius, from, to, segments, rails, 4);
}

void mesh_disc(struct mesh *m, int32_t cx, int32_t cy, int32_t radius, unsigned segments, uint32_t centre, uint32_t rim)
{
	struct rail rails[3] = {{0, centre, centre}, {radius - SOFT, rim, rim}, {radius, ALPHA(rim, 0), ALPHA(rim, 0)}};

	mesh_arc(m, cx, cy, 0, 0, TURN, segments, rails, 3);
}

void mesh_rect(struct mesh *m, int32_t x, int32_t y, int32_t width, int32_t height, uint32_t top, uint32_t bottom)
{
	struct rail rails[2] = {{0, top, top}, {height, bottom, bottom}};
	uint32_t at = m->vertex_count;

	if (section(m, x, y, 0, ONE_Q14, 0, false, rails, 2) &&
	    section(m, x + width, y, 0, ONE_Q14, 0, false, rails, 2))
		join(m, at, at + 2, 2);
}
