import { join } from '../../lib/files';
import { type Interrupted, readInterrupted, writeInterrupted } from './interrupted';
import { type Upload, upload } from './upload';

/** A file on its way, one that could not be sent, or one that a reload of the page interrupted. */
export interface Sending {
  readonly id: number;
  readonly workspace: string;
  /** What people call the workspace. */
  readonly name: string;
  readonly path: string;
  readonly size: number;
  /** Absent after a reload, until the same file is chosen again. */
  readonly file: File | null;
  readonly modified: number;
  /** The folder to make first, of a file in a folder that was chosen. */
  readonly folder: string;
  readonly sent: number;
  readonly error: Error | null;
}

export type Send = (
  it: Upload,
  signal: AbortSignal,
  progress: (sent: number) => void,
) => Promise<void>;

/** Makes a folder and its parents, if they are not there. */
export type MakeFolder = (workspace: string, folder: string) => Promise<void>;

/** A file with the path below the folder that it was chosen or dropped into. */
export interface Chosen {
  readonly file: File;
  readonly path: string;
}

/** The workspace that files go to. */
export interface Destination {
  readonly workspace: string;
  readonly name: string;
}

/**
 * Sends files to workspaces, one after the other, whatever page is shown. What was not sent when
 * the tab is loaded again is still listed, and continues once the same file is chosen.
 */
export class UploadQueue {
  #list: readonly Sending[];
  #last: number;
  #queue = Promise.resolve();
  readonly #aborts = new Map<number, AbortController>();
  readonly #readers = new Set<() => void>();
  readonly #made = new Set<string>();
  readonly #storage: Storage;
  readonly #makeFolder: MakeFolder;
  readonly #send: Send;
  #sentFiles = 0;

  constructor(storage: Storage, makeFolder: MakeFolder, send: Send = upload) {
    this.#storage = storage;
    this.#makeFolder = makeFolder;
    this.#send = send;
    this.#list = readInterrupted(storage).map((it, index) => ({
      ...it,
      id: index + 1,
      file: null,
      error: null,
    }));
    this.#last = this.#list.length;
  }

  get list(): readonly Sending[] {
    return this.#list;
  }

  /** Whether leaving the page would interrupt something. */
  get isSending(): boolean {
    return this.#aborts.size > 0;
  }

  /** How many files were sent since this was last asked. */
  takeSent(): number {
    const sent = this.#sentFiles;
    this.#sentFiles = 0;
    return sent;
  }

  /** Remember how far each upload is; called when the page goes away. */
  remember(): void {
    writeInterrupted(this.#storage, this.#list satisfies readonly Interrupted[]);
  }

  subscribe(read: () => void): () => void {
    this.#readers.add(read);
    return () => this.#readers.delete(read);
  }

  add({ workspace, name }: Destination, folder: string, files: readonly Chosen[]): void {
    for (const { file, path } of files) {
      const target = join(folder, path);
      const before = this.#list.find((it) => isSame(it, workspace, target, file));
      if (before !== undefined) {
        this.resume(before, file);
        continue;
      }
      this.#last += 1;
      const fresh: Sending = {
        workspace,
        name,
        id: this.#last,
        path: target,
        size: file.size,
        modified: file.lastModified,
        folder: path.includes('/') ? target.slice(0, target.lastIndexOf('/')) : '',
        file,
        sent: 0,
        error: null,
      };
      this.#set([...this.#list, fresh]);
      this.#start(fresh, file, false);
    }
  }

  /** Continue what was interrupted, with the file, from where the daemon has it. */
  resume(it: Sending, file: File): void {
    this.#put(it.id, { file, error: null });
    this.#start(it, file, false);
  }

  again(it: Sending, replace: boolean): void {
    if (it.file === null) return;
    this.#put(it.id, { error: null });
    this.#start(it, it.file, replace);
  }

  cancel(it: Sending): void {
    this.#aborts.get(it.id)?.abort();
    this.#put(it.id, null);
  }

  async #begin({ workspace, folder }: Sending): Promise<void> {
    const key = `${workspace} ${folder}`;
    if (folder === '' || this.#made.has(key)) return;
    await this.#makeFolder(workspace, folder);
    this.#made.add(key);
  }

  #start(it: Sending, file: File, replace: boolean): void {
    const { id, workspace, path, sent: offset } = it;
    if (this.#aborts.has(id)) return; // it is on its way
    const abort = new AbortController();
    this.#aborts.set(id, abort);
    this.#queue = this.#queue.then(async () => {
      try {
        abort.signal.throwIfAborted();
        await this.#begin(it);
        await this.#send({ workspace, path, file, replace, offset }, abort.signal, (sent) =>
          this.#put(id, { sent }),
        );
        this.#sentFiles += 1;
        this.#put(id, null);
      } catch (error) {
        this.#put(id, abort.signal.aborted ? null : { error: error as Error });
      } finally {
        this.#aborts.delete(id);
        this.#tell();
      }
    });
  }

  #put(id: number, change: Partial<Sending> | null): void {
    const known = change !== null && Object.keys(change).join() === 'sent';
    this.#set(
      change === null
        ? this.#list.filter((it) => it.id !== id)
        : this.#list.map((it) => (it.id === id ? { ...it, ...change } : it)),
      known,
    );
  }

  /** Progress alone is not stored each time: `remember` does it when the page goes away. */
  #set(list: readonly Sending[], known = false): void {
    this.#list = list;
    if (!known) this.remember();
    this.#tell();
  }

  #tell(): void {
    for (const read of this.#readers) read();
  }
}

/** Whether a file is the one of an upload that a reload interrupted. */
export function isSame(it: Sending, workspace: string, path: string, file: File): boolean {
  return it.file === null && it.workspace === workspace && it.path === path && fits(it, file);
}

/** Whether a chosen file can be the one whose beginning was sent. */
export function fits(it: Sending, file: File): boolean {
  return it.size === file.size && it.modified === file.lastModified;
}
