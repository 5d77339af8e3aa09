import { sql } from 'kysely'
import type { Executor } from '../../src/store/database.js'

/**
 * The schema of a database as text, read from the catalogue: the same on every PostgreSQL that is supported, which
 * pg_dump's output is not.
 */
export async function describeSchema(db: Executor): Promise<string> {
  const lines = async (query: ReturnType<typeof sql<{ line: string }>>) =>
    (await query.execute(db)).rows.map((row) => row.line)
  const sections = [
    await lines(sql`
      select 'type ' || t.typname || ' = ' || string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder)
        as line
      from pg_type t join pg_enum e on e.enumtypid = t.oid
      where t.typnamespace = 'public'::regnamespace group by t.typname order by t.typname`),
    await lines(sql`
      select 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
        || case when a.attnotnull then ' not null' else '' end
        || case a.attidentity when 'a' then ' generated always as identity' else '' end
        || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') as line
      from pg_class c join pg_attribute a on a.attrelid = c.oid
      left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'c')
        and c.relname not like 'kysely%' and a.attnum > 0 and not a.attisdropped
      order by c.relname, a.attname`),
    await lines(sql`
      select 'constraint ' || c.relname || ' ' || k.conname || ' ' || pg_get_constraintdef(k.oid) as line
      from pg_constraint k join pg_class c on c.oid = k.conrelid
      where k.connamespace = 'public'::regnamespace and c.relname not like 'kysely%' and k.contype <> 'n'
      order by c.relname, k.conname`),
    await lines(sql`
      select pg_get_indexdef(i.indexrelid) as line
      from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class r on r.oid = i.indrelid
      where c.relnamespace = 'public'::regnamespace and r.relname not like 'kysely%' order by c.relname`),
    await lines(sql`
      select pg_get_triggerdef(g.oid) || case g.tgenabled when 'O' then '' else ' -- ' || g.tgenabled::text end as line
      from pg_trigger g join pg_class c on c.oid = g.tgrelid
      where c.relnamespace = 'public'::regnamespace and not g.tgisinternal order by g.tgname`),
    await lines(sql`
      select 'function ' || p.proname || '(' || pg_get_function_arguments(p.oid) || ') returns '
        || pg_get_function_result(p.oid) || ' language ' || l.lanname || ' ' || p.provolatile::text
        || coalesce(' set ' || array_to_string(p.proconfig, ', '), '') || ' md5 of the body '
        || md5(coalesce(nullif(p.prosrc, ''), pg_get_functiondef(p.oid))) as line
      from pg_proc p join pg_language l on l.oid = p.prolang
      where p.pronamespace = 'public'::regnamespace and l.lanname in ('sql', 'plpgsql')
      order by p.proname`),
  ]
  return `${sections.map((section) => section.join('\n')).join('\n\n')}\n`
}
