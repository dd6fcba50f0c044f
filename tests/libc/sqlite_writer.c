/*
 * Commits transactions until it is killed, and says after each which it was. At its start it checks
 * the database, and says how many transactions that has.
 */

#include <stdio.h>
#include <stdlib.h>

#include "sqlite3.h"

static sqlite3 *database;

static int show(void *context, int count, char **values, char **names)
{
    (void)count;
    (void)names;
    printf("%s %s\n", (const char *)context, values[0] != NULL ? values[0] : "0");
    return 0;
}

static void run(const char *sql, const char *name)
{
    char *message = NULL;
    if (sqlite3_exec(database, sql, show, (void *)name, &message) != SQLITE_OK) {
        printf("FAILURE: %s: %s\n", sql, message);
        exit(1);
    }
}

int main(void)
{
    if (sqlite3_open("/database", &database) != SQLITE_OK)
        return 1;
    run("create table if not exists t(round integer, part integer, text)", "none");
    run("pragma integrity_check", "check:");
    run("select max(round) from t", "found:");
    for (;;) {
        /* Some rows at changing places of the tree, and a change of old ones. */
        run("begin; insert into t with recursive n(i) as (select 1 union all select i + 1 from n where i < 20)"
            " select (select ifnull(max(round), 0) + 1 from t), i, hex(randomblob(100)) from n;"
            " update t set text = hex(randomblob(120)) where round % 7 = (select max(round) from t) % 7;"
            " delete from t where round < (select max(round) from t) - 300; commit", "none");
        run("select max(round) from t", "committed:");
    }
}
