import { ApiError, errorOf, isRecord, Unreachable } from '../../api/errors';
import { contentAt } from '../../lib/files';

const PIECE = 16 * 1024 * 1024; // bytes of one request: what is sent again at most
const TRIES = 5;
const REST = 1000; // milliseconds before a piece is sent again, times how often it was tried

export interface Upload {
  readonly workspace: string;
  readonly path: string;
  readonly file: Blob;
  readonly replace: boolean;
  /** How much was sent before; what the daemon has counts. */
  readonly offset?: number;
}

/** The status and the JSON of an answer; null where none came. */
export interface Answered {
  readonly status: number;
  readonly body: unknown;
}

type Send = (
  url: string,
  body: Blob,
  signal: AbortSignal,
  progress: (sent: number) => void,
) => Promise<Answered>;

/** A PUT whose progress is known; `fetch` tells none. */
const send: Send = (url, body, signal, progress) =>
  new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal.addEventListener('abort', abort, { once: true });
    request.upload.onprogress = ({ loaded }) => progress(loaded);
    request.onloadend = () => {
      signal.removeEventListener('abort', abort);
      if (request.status === 0) reject(new Unreachable());
      else resolve({ status: request.status, body: jsonOf(request.responseText) });
    };
    request.open('PUT', url);
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.send(body);
  });

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

const pause = (time: number) => new Promise((done) => setTimeout(done, time));

/** Send a file in pieces; one that was lost is sent again from the byte that is missing. */
export async function upload(
  it: Upload,
  signal: AbortSignal,
  progress: (sent: number) => void,
  sending: Send = send,
  rest = REST,
): Promise<void> {
  const { size } = it.file;
  let offset = Math.min(it.offset ?? 0, size);
  let failures = 0;
  for (;;) {
    const begin = offset;
    const query = new URLSearchParams({ offset: `${begin}`, size: `${size}` });
    if (it.replace) query.set('replace', 'true');
    const piece = it.file.slice(begin, begin + PIECE);
    const url = `${contentAt(it.workspace, it.path)}&${query}`;
    const sent = (bytes: number) => progress(Math.min(size, begin + bytes));
    const answer = await sending(url, piece, signal, sent).catch((error: unknown) => {
      if (signal.aborted) throw error;
      return null;
    });
    if (answer !== null && answer.status < 300 && isRecord(answer.body)) {
      failures = 0;
      offset = Number(answer.body['received']);
      progress(offset);
      if (answer.body['complete'] === true) return;
      continue;
    }
    failures += 1;
    const error = answer === null ? new Unreachable() : errorOf(answer.status, answer.body);
    const received = receivedOf(error);
    // After a lost answer the daemon may have more, or less, than this page knows.
    if (received !== null && failures < TRIES) offset = received;
    else if (answer !== null || failures >= TRIES) throw error;
    await pause(rest * failures);
  }
}

function receivedOf(error: Error): number | null {
  if (!(error instanceof ApiError) || error.code !== 'UPLOAD_OFFSET') return null;
  const received = error.data['received'];
  return typeof received === 'number' ? received : null;
}
