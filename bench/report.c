// SPDX-License-Identifier: GPL-2.0
/*
 * The report: lines of JSON on the second serial port. They are kept until the
 * end, as writing is work for the kernel, and may be denied meanwhile.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "bench.h"

#define PORT "/dev/ttyS1"

static char text[1 << 20];
static size_t length;
static unsigned int lines;

static void add(const char *format, ...)
{
	va_list args;
	int written;

	va_start(args, format);
	written = vsnprintf(text + length, sizeof(text) - length, format, args);
	va_end(args);
	if (written < 0 || (size_t)written >= sizeof(text) - length)
		die("the report is longer than %zu bytes", sizeof(text));
	length += written;
}

/* All of its memory, before anything is measured. */
void report_open(void)
{
	memset(text, ' ', sizeof(text));
}

void report_case(const char *format, ...)
{
	char name[128];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	add("{\"case\": \"%s\"", name);
}

void report_value(const char *name, int64_t value)
{
	add(", \"%s\": %lld", name, (long long)value);
}

void report_text(const char *name, const char *value)
{
	add(", \"%s\": \"", name);
	for (; *value; value++) {
		if (*value == '\n')
			add("; ");
		else if (*value == '"' || *value == '\\')
			add("\\%c", *value);
		else if ((unsigned char)*value >= ' ')
			add("%c", *value);
	}
	add("\"");
}

void report_end_case(void)
{
	add("}\n");
	lines++;
}

/* In place of figures: this kernel has no such thing. */
void report_unavailable(const char *why)
{
	report_text("unavailable", why);
	report_end_case();
}

void report_figure(const struct figure *figure)
{
	report_value("calls", figure->calls);
	report_value("min", figure->min);
	report_value("median", figure->median);
	report_value("max", figure->max);
	report_end_case();
}

/* The last line tells how many there are, so that nothing can be lost unseen. */
void report_flush(void)
{
	int port = open(PORT, O_WRONLY | O_NOCTTY);
	struct termios settings;
	size_t sent = 0;

	add("{\"end\": %u}\n", lines);
	if (port < 0 || tcgetattr(port, &settings))
		die("%s: %m", PORT);
	cfmakeraw(&settings);
	if (tcsetattr(port, TCSANOW, &settings))
		die("%s: %m", PORT);
	while (sent < length) {
		ssize_t written = write(port, text + sent, length - sent);

		if (written <= 0)
			die("%s: %m", PORT);
		sent += written;
	}
	tcdrain(port);
	close(port);
}
