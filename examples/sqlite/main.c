/*
 * SQLite: each argument is SQL, which is run on the database of the block device. Rows are printed as
 * the sqlite3 command prints them.
 */

#include <stdio.h>

#include "sqlite3.h"

static int print_row(void *context, int count, char **values, char **names)
{
    (void)context;
    (void)names;
    for (int i = 0; i < count; i++)
        printf("%s%s", i > 0 ? "|" : "", values[i] != NULL ? values[i] : "");
    printf("\n");
    return 0;
}

int main(int argc, char **argv)
{
    sqlite3 *database;
    if (argc < 2) {
        fprintf(stderr, "usage: sqlite.TARGET SQL...\n");
        return 2;
    }
    int result = sqlite3_open("/database", &database);
    if (result != SQLITE_OK) {
        fprintf(stderr, "sqlite: %s\n", sqlite3_errstr(result));
        return 1;
    }
    for (int i = 1; i < argc; i++) {
        char *message = NULL;
        if (sqlite3_exec(database, argv[i], print_row, NULL, &message) != SQLITE_OK) {
            fprintf(stderr, "sqlite: %s\n", message != NULL ? message : sqlite3_errmsg(database));
            sqlite3_free(message);
            sqlite3_close(database);
            return 1;
        }
    }
    return sqlite3_close(database) == SQLITE_OK ? 0 : 1;
}
