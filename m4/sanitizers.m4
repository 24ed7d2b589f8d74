# SYNFIN_SANITIZERS
# --enable-sanitizers builds with AddressSanitizer and UndefinedBehaviorSanitizer,
# --enable-sanitizers=thread with ThreadSanitizer. The flags are in SANITIZER_CFLAGS, for compiling
# and for linking.
AC_DEFUN([SYNFIN_SANITIZERS], [
  AC_ARG_ENABLE([sanitizers],
    [AS_HELP_STRING([--enable-sanitizers@<:@=thread@:>@],
      [build with ASan and UBSan, or with TSan; any finding ends the program])],
    [], [enable_sanitizers=no])
  AS_CASE([$enable_sanitizers],
    [no], [SANITIZER_CFLAGS= sanitizers_summary=off],
    [yes], [SANITIZER_CFLAGS="-fsanitize=address,undefined" sanitizers_summary="ASan and UBSan"],
    [thread], [SANITIZER_CFLAGS="-fsanitize=thread" sanitizers_summary=TSan],
    [AC_MSG_ERROR([--enable-sanitizers=$enable_sanitizers: give no value, or thread])])
  AS_IF([test -n "$SANITIZER_CFLAGS"], [
    SANITIZER_CFLAGS="$SANITIZER_CFLAGS -fno-sanitize-recover=all -fno-omit-frame-pointer"
    AC_MSG_CHECKING([whether $CC links with $SANITIZER_CFLAGS])
    sanitizers_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS $SANITIZER_CFLAGS"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
      [AC_MSG_RESULT([yes])],
      [AC_MSG_RESULT([no])
       AC_MSG_ERROR([$CC cannot link with sanitizers; Debian: apt-get install libclang-rt-14-dev for clang])])
    CFLAGS=$sanitizers_save_CFLAGS
  ])
  AM_CONDITIONAL([SANITIZERS], [test -n "$SANITIZER_CFLAGS"])
  AC_SUBST([SANITIZER_CFLAGS])
])
