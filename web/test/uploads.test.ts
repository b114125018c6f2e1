import { describe, expect, it } from 'vitest';

import { fits, type Send, UploadQueue } from '../src/features/files/uploads';

const mine = { workspace: 'ws_1', name: 'mine' };
const file = (name: string, text = 'hello') => new File([text], name, { lastModified: 7 });

function stored(): Storage {
  const values = new Map<string, string>();
  return {
    getItem: (key: string) => values.get(key) ?? null,
    setItem: (key: string, value: string) => void values.set(key, value),
    removeItem: (key: string) => void values.delete(key),
  } as unknown as Storage;
}

const settled = () => new Promise((done) => setTimeout(done, 0));
const noFolders = () => Promise.resolve();

describe('the uploads of a tab', () => {
  it('are sent one after the other, into folders that are made once', async () => {
    const log: string[] = [];
    const send: Send = ({ path }) => {
      log.push(path);
      return Promise.resolve();
    };
    const make = (_: string, folder: string) => {
      log.push(`${folder}/`);
      return Promise.resolve();
    };
    const queue = new UploadQueue(stored(), make, send);
    const below = ['a', 'b'].map((name) => ({ file: file(name), path: `deep/${name}` }));
    queue.add(mine, 'data', [{ file: file('one'), path: 'one' }, ...below]);
    expect(queue.isSending).toBe(true);
    await settled();
    expect(log).toEqual(['data/one', 'data/deep/', 'data/deep/a', 'data/deep/b']);
    expect([queue.list, queue.isSending, queue.takeSent(), queue.takeSent()]).toEqual([
      [],
      false,
      3,
      0,
    ]);
  });

  it('are listed after a reload, and continue with the same file only', async () => {
    const storage = stored();
    const never: Send = (_, __, progress) => {
      progress(3);
      return new Promise(() => undefined);
    };
    const before = new UploadQueue(storage, noFolders, never);
    before.add(mine, '', [{ file: file('one'), path: 'one' }]);
    await settled();
    before.remember();

    const offsets: (number | undefined)[] = [];
    const queue = new UploadQueue(storage, noFolders, ({ offset }) => {
      offsets.push(offset);
      return Promise.resolve();
    });
    const [left] = queue.list;
    expect(left).toMatchObject({ path: 'one', sent: 3, size: 5, file: null });
    expect(queue.isSending).toBe(false);
    if (left === undefined) throw new Error('nothing is listed');
    expect([fits(left, file('other', 'longer text')), fits(left, file('one'))]).toEqual([
      false,
      true,
    ]);
    queue.add(mine, '', [{ file: file('one'), path: 'one' }]); // dropped again: no second row
    await settled();
    expect([offsets, queue.list]).toEqual([[3], []]);
    expect(new UploadQueue(storage, noFolders).list).toEqual([]);
  });

  it('keep what was refused until it is sent again or cancelled', async () => {
    const results = [Promise.reject(new Error('full')), Promise.resolve()];
    const queue = new UploadQueue(stored(), noFolders, () => results.shift() ?? Promise.resolve());
    queue.add(mine, '', [{ file: file('one'), path: 'one' }]);
    await settled();
    const [refused] = queue.list;
    expect(refused?.error?.message).toBe('full');
    if (refused !== undefined) queue.again(refused, true);
    await settled();
    expect(queue.list).toEqual([]);
  });

  it('ignore what another program has stored there', () => {
    const storage = stored();
    storage.setItem('prism.uploads', '[{"path": 1}, "x", {"workspace": "w"}]');
    expect(new UploadQueue(storage, noFolders).list).toEqual([]);
    storage.setItem('prism.uploads', '{');
    expect(new UploadQueue(storage, noFolders).list).toEqual([]);
  });
});
