import { useEffect, useState } from 'react';

import { errorOf, Unreachable } from '../../api/errors';
import { useLiveness } from '../../live/LiveProvider';

const KEPT = 2000; // lines

export interface FollowedLog {
  readonly lines: readonly string[];
  readonly error: Error | null;
  readonly ended: boolean;
}

const NOTHING: FollowedLog = { lines: [], error: null, ended: false };

/** Follows a log as it grows, for as long as it is on the page; anew after the daemon was away. */
export function useLog(workspace: string, type: string, tail: number): FollowedLog {
  const liveness = useLiveness();
  const key = `${workspace}\0${type}\0${tail}`;
  const [found, setFound] = useState({ key, log: NOTHING });
  useEffect(() => {
    if (liveness === 'cut') return;
    const ended = new AbortController();
    const show = (log: FollowedLog) => setFound({ key, log });
    void read(workspace, type, tail, ended.signal, show);
    return () => ended.abort();
  }, [key, workspace, type, tail, liveness]);
  return found.key === key ? found.log : NOTHING;
}

async function read(
  workspace: string,
  type: string,
  tail: number,
  signal: AbortSignal,
  show: (log: FollowedLog) => void,
): Promise<void> {
  let lines: string[] = [];
  let rest = '';
  try {
    const query = new URLSearchParams({ type, tail: String(tail), follow: 'true' });
    const answer = await fetch(`/api/v1/logs/${encodeURIComponent(workspace)}?${query}`, {
      signal,
    });
    if (!answer.ok || answer.body === null) {
      throw errorOf(answer.status, await answer.json().catch(() => null));
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    show({ lines, error: null, ended: false });
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      const parts = (rest + next.value).split('\n');
      rest = parts.pop() ?? '';
      lines = [...lines, ...parts].slice(-KEPT);
      show({ lines, error: null, ended: false });
    }
    show({ lines, error: null, ended: true });
  } catch (error) {
    if (signal.aborted) return;
    show({
      lines,
      error: error instanceof TypeError ? new Unreachable() : (error as Error),
      ended: true,
    });
  }
}
