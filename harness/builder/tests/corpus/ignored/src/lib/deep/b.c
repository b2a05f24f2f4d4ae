src/lib/deep/b.c
