#include "base/error.h"

#include <errno.h>
#include <stdarg.h>

static int negative(int code)
{
	if (code == 0) {
		return -EINVAL;
	}
	return code > 0 ? -code : code;
}

static void fill(struct error *err, int code, const char *format, va_list ap)
{
	vsnprintf(err->message, sizeof(err->message), format, ap);
	err->code = -negative(code);
	err->exit_status = 0;
}

int error_set(struct error *err, int code, const char *format, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, format);
		fill(err, code, format, ap);
		va_end(ap);
		if (code != 0) {
			size_t used = strlen(err->message);

			snprintf(err->message + used, sizeof(err->message) - used, ": %s",
				strerror(err->code));
		}
	}
	return negative(code);
}

int error_say(struct error *err, int code, const char *format, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, format);
		fill(err, code, format, ap);
		va_end(ap);
	}
	return negative(code);
}

int error_prefix(struct error *err, const char *format, ...)
{
	char old[sizeof(err->message)];
	size_t used;
	va_list ap;

	if (!err) {
		return -EINVAL;
	}
	memcpy(old, err->message, sizeof(old));
	va_start(ap, format);
	vsnprintf(err->message, sizeof(err->message), format, ap);
	va_end(ap);
	used = strlen(err->message);
	snprintf(err->message + used, sizeof(err->message) - used, ": %s", old);
	return negative(err->code);
}

int error_exit_status(struct error *err, int exit_status)
{
	if (!err) {
		return -EINVAL;
	}
	err->exit_status = exit_status;
	return negative(err->code);
}
