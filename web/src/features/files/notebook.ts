import { isRecord } from '../../api/errors';

/** A cell of a notebook, as far as it is shown. */
export interface Cell {
  readonly kind: 'markdown' | 'code' | 'raw';
  readonly source: string;
  readonly texts: readonly string[];
  /** PNG images as `data:` URLs. */
  readonly images: readonly string[];
}

const BASE64 = /^[A-Za-z0-9+/=\s]+$/;

const lines = (value: unknown): string =>
  (Array.isArray(value) ? value : [value]).filter((it) => typeof it === 'string').join('');

/** The cells of a notebook; null where this is none. Nothing in it is run. */
export function cellsOf(text: string): readonly Cell[] | null {
  let notebook: unknown;
  try {
    notebook = JSON.parse(text);
  } catch {
    return null;
  }
  const cells = isRecord(notebook) ? notebook['cells'] : undefined;
  return Array.isArray(cells) ? cells.filter(isRecord).map(cellOf) : null;
}

function cellOf(cell: Readonly<Record<string, unknown>>): Cell {
  const type = cell['cell_type'];
  const outputs = Array.isArray(cell['outputs']) ? cell['outputs'].filter(isRecord) : [];
  const texts: string[] = [];
  const images: string[] = [];
  for (const output of outputs) {
    const data = isRecord(output['data']) ? output['data'] : {};
    const png = lines(data['image/png']);
    if (png !== '' && BASE64.test(png)) images.push(`data:image/png;base64,${png.trim()}`);
    else if (data['text/plain'] !== undefined) texts.push(lines(data['text/plain']));
    else if (output['text'] !== undefined) texts.push(lines(output['text']));
    else if (output['evalue'] !== undefined) {
      texts.push(`${lines(output['ename'])}: ${lines(output['evalue'])}`);
    }
  }
  const kind = type === 'markdown' || type === 'raw' ? type : 'code';
  return { kind, source: lines(cell['source']), texts, images };
}
