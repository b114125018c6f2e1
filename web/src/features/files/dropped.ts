import type { Chosen } from './uploads';

/** The files of a drop, also those in folders, with their paths. */
export async function dropped(data: DataTransfer): Promise<readonly Chosen[]> {
  // The items are empty after the first pause, so all entries are taken at once.
  const entries = [...data.items].map((it) => it.webkitGetAsEntry());
  if (entries.every((it) => it === null)) return chosen([...data.files]);
  const lists = entries.map(async (it) => (it === null ? [] : filesOf(it)));
  return (await Promise.all(lists)).flat();
}

/** The files that were chosen; those of a folder with their paths below the folder's parent. */
export function chosen(files: readonly File[]): readonly Chosen[] {
  return files.map((file) => ({ file, path: file.webkitRelativePath || file.name }));
}

async function filesOf(entry: FileSystemEntry): Promise<readonly Chosen[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    return [{ file, path: entry.fullPath.replace(/^\//, '') }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: Chosen[] = [];
  for (;;) {
    // A folder is read in parts; an empty one is its end.
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (part.length === 0) return files;
    for (const it of part) files.push(...(await filesOf(it)));
  }
}
