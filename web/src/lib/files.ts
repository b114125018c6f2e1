import type { Schemas } from '../api/client';

export type FileEntry = Schemas['FileEntry'];

/** How a file can be shown. */
export type PreviewKind = 'text' | 'image' | 'notebook';

const IMAGES: ReadonlySet<string> = new Set(['png', 'jpg', 'jpeg', 'gif', 'webp', 'avif', 'svg']);
/** What a browser needs to be told to show an image; it guesses nothing. */
const IMAGE_TYPES: Readonly<Record<string, string>> = { jpg: 'image/jpeg', svg: 'image/svg+xml' };
const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

export const TEXT_SHOWN = 256 * 1024; // bytes of a text that are shown
export const IMAGE_SHOWN = 20 * 1024 * 1024; // bytes of an image or a notebook

const extension = (name: string): string => /\.([^.]+)$/.exec(name)?.[1]?.toLowerCase() ?? '';

/** The type of an image by its name. */
export function imageType(name: string): string {
  const end = extension(name);
  return IMAGE_TYPES[end] ?? `image/${end}`;
}

export function previewKind(name: string): PreviewKind {
  const end = extension(name);
  if (IMAGES.has(end)) return 'image';
  return end === 'ipynb' ? 'notebook' : 'text';
}

/** Whether bytes can be shown as text. */
export function textOf(bytes: Uint8Array): string | null {
  const text = new TextDecoder().decode(bytes);
  // The last character may be cut in two.
  return text.slice(0, -1).includes('�') || text.includes('\0') ? null : text;
}

/** A size in the unit that people would choose. */
export function bytes(size: number): string {
  let unit = 0;
  let value = size;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}

/** A path below a folder. */
export function join(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}

/** Folders first, then by name. */
export function inOrder(entries: readonly FileEntry[]): readonly FileEntry[] {
  const rank = (it: FileEntry) => (it.kind === 'folder' ? 0 : 1);
  const names = new Intl.Collator('en', { numeric: true });
  return entries.toSorted((a, b) => rank(a) - rank(b) || names.compare(a.name, b.name));
}

/** Each folder on the way to a path, the home first. */
export function trail(path: string, home: string): { text: string; path: string }[] {
  const parts = path.split('/').filter((it) => it !== '');
  return [
    { text: home, path: '' },
    ...parts.map((text, index) => ({ text, path: parts.slice(0, index + 1).join('/') })),
  ];
}

/** Where a file's content is. */
export function contentAt(workspace: string, path: string): string {
  const query = new URLSearchParams({ path });
  return `/api/v1/instances/${encodeURIComponent(workspace)}/files/content?${query}`;
}
