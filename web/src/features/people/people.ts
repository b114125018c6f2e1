import type { Schemas } from '../../api/client';

import { endOfDay } from './lastDay';

export type Guest = Schemas['BulkInvitee'];

// Of a file without a heading; `until` needs one, as a message may have commas without quotes.
const NAMES = ['email', 'role', 'message'] as const;
const ALSO: Readonly<Record<string, string>> = {
  mail: 'email',
  emailaddress: 'email',
  mailaddress: 'email',
  emails: 'email',
  address: 'email',
  note: 'message',
  comment: 'message',
  text: 'message',
  lastday: 'until',
  memberuntil: 'until',
};

/** The cells of a CSV text; quotes may hold separators, quotes and line breaks. */
export function cellsOf(text: string, separator: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = '';
  let quoted = false;
  const end = () => {
    row.push(cell.trim());
    cell = '';
  };
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at] ?? '';
    if (quoted && sign === '"' && text[at + 1] === '"') {
      cell += '"';
      at += 1;
    } else if (sign === '"' && (quoted || cell === '')) quoted = !quoted;
    else if (!quoted && sign === separator) end();
    else if (!quoted && sign === '\n') {
      end();
      rows.push(row);
      row = [];
    } else if (quoted || sign !== '\r') cell += sign;
  }
  end();
  rows.push(row);
  return rows.filter((it) => it.some((value) => value !== ''));
}

/** The people in a CSV file with the columns email, role, message and until, or with addresses only. */
export function guestsOf(csv: string): Guest[] {
  const text = csv.replace(/^\uFEFF/, '');
  const first = text.split('\n').find((it) => it.trim() !== '') ?? '';
  const separator = [';', '\t'].find((it) => first.includes(it)) ?? ',';
  const rows = cellsOf(text, separator);
  const head = (rows[0] ?? []).map((it) => {
    const plain = it.toLowerCase().replace(/[^a-z]/g, '');
    return ALSO[plain] ?? plain;
  });
  const named = head.includes('email');
  const columns: readonly string[] = named ? head : NAMES;
  const at = (name: string, row: readonly string[]) => row[columns.indexOf(name)] ?? '';
  return rows.slice(named ? 1 : 0).flatMap((row) => {
    const email = at('email', row);
    if (email === '') return [];
    const role = at('role', row).toLowerCase();
    const message = at('message', row);
    const until = at('until', row);
    return [
      {
        email,
        ...(role === '' ? {} : { role }),
        ...(message === '' ? {} : { message }),
        ...(until === '' ? {} : { until: endOf(until) }),
      },
    ];
  });
}

/** An end for the daemon, which refuses only the person whose end is no time. */
function endOf(text: string): string | null {
  if (text.toLowerCase() === 'never') return null;
  const time = /^\d{4}-\d{2}-\d{2}[T ]/.test(text) ? new Date(text).getTime() : NaN;
  return endOfDay(text) ?? (Number.isNaN(time) ? text : new Date(time).toISOString());
}
