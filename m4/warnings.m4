# SYNFIN_WARNINGS
# The warnings that the compiler knows, in WARNING_CFLAGS; errors with --enable-werror. The user's
# CFLAGS come after ours on the command line and so have the last word.
AC_DEFUN([SYNFIN_WARNINGS], [
  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [treat compiler warnings as errors])],
    [], [enable_werror=no])
  WARNING_CFLAGS=
  warnings_save_CFLAGS=$CFLAGS
  for warning in -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
    -Wwrite-strings -Wold-style-definition -Wundef -Wvla -Wformat=2 -Wlogical-op \
    -Wduplicated-cond -Wno-missing-field-initializers
  do
    AC_MSG_CHECKING([whether $CC knows $warning])
    # An unknown warning is itself only a warning to clang, and an unknown -Wno- is silent in gcc.
    CFLAGS="$warnings_save_CFLAGS -Werror $warning"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
      [AC_MSG_RESULT([yes])
       WARNING_CFLAGS="$WARNING_CFLAGS $warning"],
      [AC_MSG_RESULT([no])])
  done
  CFLAGS=$warnings_save_CFLAGS
  warnings_summary=shown
  AS_IF([test "x$enable_werror" != xno],
    [WARNING_CFLAGS="$WARNING_CFLAGS -Werror"
     warnings_summary="are errors"])
  AC_SUBST([WARNING_CFLAGS])
])
