// SPDX-License-Identifier: MIT
#include "samples/cluster/scene.h"
#include "guest-drivers/bare/console.h"

#define WHITE RGBA(236, 242, 250, 255)
#define GREY RGBA(142, 156, 176, 255)
#define DIM RGBA(64, 76, 94, 255)
#define RED RGBA(255, 58, 48, 255)
#define AMBER RGBA(255, 176, 32, 255)
#define GREEN RGBA(72, 224, 112, 255)
#define BLUE RGBA(80, 150, 255, 255)
#define CYAN RGBA(40, 196, 255, 255)
#define ORANGE RGBA(255, 122, 48, 255)

#define FACE 172 /* radii, pixels */
#define SCALE 160
#define HUB 68

const struct dial dials[DIAL_COUNT] = {
	[DIAL_SPEED] = {.x = 194,
			.y = 244,
			.full = 220,
			.major = 20,
			.minor = 4,
			.number_divisor = 1,
			.red_from = 1000,
			.accent = CYAN,
			.unit = "KM/H"},
	[DIAL_REVS] = {.x = 606,
		       .y = 244,
		       .full = 8000,
		       .major = 1000,
		       .minor = 4,
		       .number_divisor = 1000,
		       .red_from = 6500,
		       .accent = ORANGE,
		       .unit = "X1000 RPM"},
};

static int32_t at_angle(const struct dial *d, int32_t value)
{
	return DIAL_FROM + (int32_t)((int64_t)DIAL_SWEEP * value / d->full);
}

static void background(struct mesh *m)
{
	mesh_rect(m, 0, 0, PX(SCENE_WIDTH), PX(150), RGBA(4, 6, 11, 255), RGBA(12, 19, 32, 255));
	mesh_rect(m, 0, PX(150), PX(SCENE_WIDTH), PX(330), RGBA(12, 19, 32, 255), RGBA(3, 4, 7, 255));
	/* The horizon between the dials. */
	struct rail glow[3] = {{PX(-46), ALPHA(CYAN, 0), ALPHA(ORANGE, 0)},
			       {0, ALPHA(CYAN, 26), ALPHA(ORANGE, 26)},
			       {PX(46), ALPHA(CYAN, 0), ALPHA(ORANGE, 0)}};
	const int32_t line[2][2] = {{PX(150), PX(244)}, {PX(650), PX(244)}};

	mesh_polyline(m, line, 2, false, glow, 3);
}

/* Light falls from above: a ring that is bright at the top and dark at the bottom. */
static void bezel(struct mesh *m, const struct dial *d)
{
	uint32_t light = RGBA(118, 136, 160, 255), dark = RGBA(20, 26, 36, 255), edge = RGBA(2, 3, 5, 255);
	struct rail down[5] = {{PX(-5), edge, edge},
			       {PX(-3), light, dark},
			       {PX(0), RGBA(54, 64, 80, 255), RGBA(14, 18, 26, 255)},
			       {PX(2), RGBA(30, 38, 50, 255), RGBA(8, 10, 14, 255)},
			       {PX(3), ALPHA(edge, 0), ALPHA(edge, 0)}};
	struct rail up[5];

	for (int i = 0; i < 5; i++)
		up[i] = (struct rail){down[i].offset, down[i].to, down[i].from};
	mesh_arc(m, PX(d->x), PX(d->y), PX(FACE + 4), DEGREES(-90), DEGREES(90), 48, down, 5);
	mesh_arc(m, PX(d->x), PX(d->y), PX(FACE + 4), DEGREES(90), DEGREES(270), 48, up, 5);
}

static void radial_mark(struct mesh *m, const struct dial *d, int32_t angle, int32_t from, int32_t to, int32_t width,
			uint32_t rgba)
{
	int32_t c = cosine(angle), s = sine(angle);
	int32_t p[2][2] = {{PX(d->x) + from * c / 64, PX(d->y) + from * s / 64},
			   {PX(d->x) + to * c / 64, PX(d->y) + to * s / 64}};

	mesh_stroke(m, (const int32_t(*)[2])p, 2, false, width, rgba);
}

static void scale(struct mesh *m, const struct dial *d)
{
	int32_t step = d->major / (d->minor + 1);
	char text[8];

	mesh_ring(m, PX(d->x), PX(d->y), PX(SCALE), PX(2), DIAL_FROM,
		  at_angle(d, d->red_from < d->full ? d->red_from : d->full), 80, GREY);
	if (d->red_from < d->full)
		mesh_ring(m, PX(d->x), PX(d->y), PX(SCALE - 2), PX(6), at_angle(d, d->red_from), DIAL_FROM + DIAL_SWEEP,
			  30, RED);

	for (int32_t value = 0; value <= d->full; value += step) {
		bool major = value % d->major == 0;
		uint32_t rgba = value >= d->red_from ? RED : major ? WHITE : GREY;

		radial_mark(m, d, at_angle(d, value), major ? SCALE - 16 : SCALE - 9, SCALE - 1, major ? PX(3) : PX(1),
			    rgba);
	}
	for (int32_t value = 0; value <= d->full; value += d->major) {
		int32_t angle = at_angle(d, value), radius = SCALE - 38;

		snprintf(text, sizeof(text), "%d", value / d->number_divisor);
		font_text(m, PX(d->x) + radius * cosine(angle) / 64, PX(d->y) + radius * sine(angle) / 64 - PX(6),
			  PX(12), PX(2), value >= d->red_from ? RED : WHITE, FONT_CENTRE, text);
	}
}

/* A small gauge in the gap at the dial's bottom: @lit of eight blocks. */
static void small_gauge(struct mesh *m, const struct dial *d, int lit, uint32_t rgba, const char *low, const char *high)
{
	for (int i = 0; i < 8; i++) {
		int32_t from = DEGREES(118) - i * DEGREES(7), to = from - DEGREES(5);

		mesh_ring(m, PX(d->x), PX(d->y), PX(SCALE - 6), PX(8), from, to, 3, i < lit ? rgba : DIM);
	}
	font_text(m, PX(d->x - 88), PX(d->y + 128), PX(9), PX(1.4), GREY, FONT_CENTRE, low);
	font_text(m, PX(d->x + 88), PX(d->y + 128), PX(9), PX(1.4), GREY, FONT_CENTRE, high);
}

static void dial(struct mesh *m, const struct dial *d)
{
	uint32_t none = ALPHA(d->accent, 0);
	struct rail halo[4] = {{PX(FACE - 20), none, none},
			       {PX(FACE + 4), ALPHA(d->accent, 70), ALPHA(d->accent, 70)},
			       {PX(FACE + 14), ALPHA(d->accent, 22), ALPHA(d->accent, 22)},
			       {PX(FACE + 34), none, none}};
	struct rail hub[4] = {{PX(HUB - 10), none, none},
			      {PX(HUB), ALPHA(d->accent, 150), ALPHA(d->accent, 150)},
			      {PX(HUB + 4), ALPHA(d->accent, 50), ALPHA(d->accent, 50)},
			      {PX(HUB + 22), none, none}};

	mesh_arc(m, PX(d->x), PX(d->y), 0, 0, TURN, 64, halo, 4);
	mesh_disc(m, PX(d->x), PX(d->y), PX(FACE), 64, RGBA(24, 33, 50, 255), RGBA(7, 10, 16, 255));
	bezel(m, d);
	scale(m, d);
	mesh_arc(m, PX(d->x), PX(d->y), 0, 0, TURN, 64, hub, 4);
	mesh_disc(m, PX(d->x), PX(d->y), PX(HUB), 64, RGBA(16, 22, 34, 255), RGBA(6, 8, 13, 255));
	mesh_ring(m, PX(d->x), PX(d->y), PX(HUB), PX(2), 0, TURN, 64, d->accent);
	font_text(m, PX(d->x), PX(d->y + 32), PX(9), PX(1.4), GREY, FONT_CENTRE, d->unit);
}

/* Brighter the further it reaches, brightest at the scale. */
static struct part trail(struct mesh *m, const struct dial *d)
{
	struct part p = part_start(m);
	uint32_t end = d->red_from < d->full ? RED : RGBA(120, 225, 255, 255);
	struct rail rails[3] = {{PX(-54), ALPHA(d->accent, 0), ALPHA(end, 0)},
				{PX(-14), ALPHA(d->accent, 26), ALPHA(end, 90)},
				{PX(-1), ALPHA(d->accent, 110), ALPHA(end, 240)}};

	mesh_arc(m, PX(d->x), PX(d->y), PX(SCALE), DIAL_FROM, DIAL_FROM + DIAL_SWEEP, TRAIL_SEGMENTS, rails, 3);
	part_end(m, &p);
	return p;
}

static struct part needle(struct mesh *m)
{
	struct part p = part_start(m);
	const int32_t from[2][2] = {{PX(HUB - 4), 0}, {PX(SCALE - 4), 0}};
	uint32_t hot = RGBA(255, 236, 220, 255), body = RGBA(255, 70, 44, 255);
	struct rail glow[5] = {{PX(-14), ALPHA(RED, 0), ALPHA(RED, 0)},
			       {PX(-6), ALPHA(RED, 40), ALPHA(RED, 60)},
			       {0, ALPHA(RED, 90), ALPHA(RED, 150)},
			       {PX(6), ALPHA(RED, 40), ALPHA(RED, 60)},
			       {PX(14), ALPHA(RED, 0), ALPHA(RED, 0)}};
	struct rail blade[5] = {{-PX(4), ALPHA(body, 0), ALPHA(body, 0)},
				{-PX(5) / 2, body, body},
				{0, hot, hot},
				{PX(5) / 2, body, body},
				{PX(4), ALPHA(body, 0), ALPHA(body, 0)}};

	mesh_polyline(m, from, 2, false, glow, 5);
	mesh_polyline(m, from, 2, false, blade, 5);
	part_end(m, &p);
	return p;
}

static struct part character(struct mesh *m, const char *text, int32_t height, int32_t pen, uint32_t rgba)
{
	struct part p = part_start(m);

	font_text(m, 0, -height / 2, height, pen, rgba, FONT_CENTRE, text);
	part_end(m, &p);
	return p;
}

static const struct lamp {
	enum symbol symbol;
	int32_t x, y, height; /* pixels */
	uint32_t rgba;
} lamps[] = {
	{SYMBOL_LEFT, 326, 46, 26, GREEN},    {SYMBOL_RIGHT, 474, 46, 26, GREEN}, {SYMBOL_BEAM, 300, 452, 18, BLUE},
	{SYMBOL_ENGINE, 340, 452, 18, AMBER}, {SYMBOL_OIL, 380, 452, 18, RED},	  {SYMBOL_BATTERY, 420, 452, 18, RED},
	{SYMBOL_BRAKE, 460, 452, 18, RED},    {SYMBOL_FUEL, 500, 452, 18, AMBER},
};

/* What is seen of the lamps that are off. */
static void dark_lamps(struct mesh *m)
{
	for (unsigned i = 0; i < sizeof(lamps) / sizeof(lamps[0]); i++)
		font_symbol(m, PX(lamps[i].x), PX(lamps[i].y), PX(lamps[i].height), RGBA(30, 37, 48, 255),
			    lamps[i].symbol);
}

static void lit_lamps(struct mesh *m, struct scene *s)
{
	for (unsigned i = 0; i < sizeof(lamps) / sizeof(lamps[0]); i++) {
		struct part *p = &s->symbols[lamps[i].symbol];
		uint32_t c = lamps[i].rgba;
		struct rail glow[3] = {{0, ALPHA(c, 80), ALPHA(c, 80)},
				       {PX(12), ALPHA(c, 26), ALPHA(c, 26)},
				       {PX(28), ALPHA(c, 0), ALPHA(c, 0)}};

		*p = part_start(m);
		mesh_arc(m, PX(lamps[i].x), PX(lamps[i].y), 0, 0, TURN, 24, glow, 3);
		font_symbol(m, PX(lamps[i].x), PX(lamps[i].y), PX(lamps[i].height), c, lamps[i].symbol);
		part_end(m, p);
	}
}

static void labels(struct mesh *m)
{
	font_text(m, PX(400), PX(38), PX(15), PX(2), WHITE, FONT_CENTRE, "10:42");
	font_text(m, PX(26), PX(447), PX(10), PX(1.4), GREY, FONT_LEFT, "ODO 012846 KM");
	font_text(m, PX(774), PX(447), PX(10), PX(1.4), GREY, FONT_RIGHT, "RANGE 412 KM");
	font_text(m, PX(400), PX(324), PX(9), PX(1.4), GREY, FONT_CENTRE, "MULLION");
	font_text(m, PX(26), PX(28), PX(10), PX(1.4), GREY, FONT_LEFT, "TRIP 86.4");
	font_text(m, PX(774), PX(28), PX(10), PX(1.4), GREY, FONT_RIGHT, "21'C");
	font_text(m, PX(400), PX(190), PX(9), PX(1.4), GREY, FONT_CENTRE, "GEAR");
}

void scene_build(struct mesh *m, struct scene *s)
{
	static const char *const digit[10] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
	static const char *const gear[6] = {"P", "1", "2", "3", "4", "5"};

	s->backdrop = part_start(m);
	background(m);
	for (int i = 0; i < DIAL_COUNT; i++)
		dial(m, &dials[i]);
	small_gauge(m, &dials[DIAL_SPEED], 6, GREEN, "E", "F");
	small_gauge(m, &dials[DIAL_REVS], 4, CYAN, "C", "H");
	labels(m);
	dark_lamps(m);
	part_end(m, &s->backdrop);

	for (int i = 0; i < DIAL_COUNT; i++)
		s->trail[i] = trail(m, &dials[i]);
	s->needle = needle(m);
	for (int i = 0; i < 10; i++)
		s->digits[i] = character(m, digit[i], PX(36), PX(4), WHITE);
	s->dot = character(m, ".", PX(36), PX(4), WHITE);
	for (int i = 0; i < 6; i++)
		s->gears[i] = character(m, gear[i], PX(58), PX(6), WHITE);

	lit_lamps(m, s);
}
