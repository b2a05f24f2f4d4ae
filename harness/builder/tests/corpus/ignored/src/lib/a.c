src/lib/a.c
