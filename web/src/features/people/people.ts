import type { Schemas } from '../../api/client';

export type Guest = Schemas['BulkInvitee'];

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

/** The people in a CSV file with the columns email, role and message, or with addresses only. */
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
    return [{ email, ...(role === '' ? {} : { role }), ...(message === '' ? {} : { message }) }];
  });
}
