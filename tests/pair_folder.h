/* pair_folder: the part of pair that keeps a test's folder; for pair.c only. */
#ifndef SYNFIN_TESTS_PAIR_FOLDER_H
#define SYNFIN_TESTS_PAIR_FOLDER_H

void pair_folder_make(void);
void pair_folder_remove(void);

#endif
