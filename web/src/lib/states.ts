import type { StatusIndicatorProps } from '@cloudscape-design/components/status-indicator';

import type { Lifecycle } from '../api/actions';
import type { Instance, State } from '../api/client';

export type Verb = Lifecycle | 'terminate';

/** How a state looks. */
export const LOOK: Record<State, StatusIndicatorProps.Type> = {
  launching: 'in-progress',
  running: 'success',
  stopping: 'in-progress',
  stopped: 'stopped',
  starting: 'in-progress',
  hibernating: 'in-progress',
  hibernated: 'stopped',
  resuming: 'in-progress',
  terminating: 'in-progress',
  terminated: 'stopped',
  failed: 'error',
};

const ALLOWED: Record<State, readonly Verb[]> = {
  launching: ['stop', 'terminate'],
  running: ['stop', 'restart', 'hibernate', 'terminate'],
  stopping: ['terminate'],
  stopped: ['start', 'terminate'],
  starting: ['terminate'],
  hibernating: ['terminate'],
  hibernated: ['start', 'resume', 'terminate'],
  resuming: ['terminate'],
  terminating: [],
  terminated: [],
  failed: ['start', 'terminate'],
};

const COMING: ReadonlySet<State> = new Set(['launching', 'starting', 'resuming']);

/** Whether a verb makes sense now; the daemon decides, this only saves a refusal. */
export function allows(it: Instance, verb: Verb): boolean {
  if (it.unreachable != null) return false; // no daemon serves its home
  if (verb === 'hibernate' && !it.hibernation_capable) return false;
  if (verb === 'stop' && it.restarting === true) return true; // it stays stopped then
  return ALLOWED[it.state].includes(verb);
}

/** Whether it is on its way to running. */
export function isComing(state: State): boolean {
  return COMING.has(state);
}

/** Whether it is on its way to another state. */
export function isMoving(state: State): boolean {
  return LOOK[state] === 'in-progress';
}

/** What takes a verb back, where something can. */
export const UNDO: Partial<Record<Verb, Verb>> = {
  stop: 'start',
  start: 'stop',
  hibernate: 'resume',
  resume: 'hibernate',
};

/** Why a workspace needs a person's decision, or null. */
export function concern(it: Instance, now: number): 'failed' | 'expiring' | 'idle' | null {
  if (it.failure !== null) return 'failed';
  if (it.state !== 'running') return null;
  if (it.expires_at !== null) {
    const left = new Date(it.expires_at).getTime() - now;
    if (left < 30 * 60_000) return 'expiring';
  }
  return it.idle.verdict === 'idle' ? 'idle' : null;
}

const SOON = 10 * 60_000; // milliseconds

/** Whether an idle workspace is put to sleep so soon that somebody should hear of it. */
export function sleepsSoon(actsAt: string | null, now: number): boolean {
  return actsAt !== null && new Date(actsAt).getTime() - now < SOON;
}
