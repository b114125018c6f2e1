import type { Instance, Schemas } from '../../api/client';

export type SleepReason = { readonly at: string | null } & (
  | { readonly kind: 'idle'; readonly duration: string; readonly profile: string }
  | { readonly kind: 'expired' }
  | { readonly kind: 'reason'; readonly text: string }
  | { readonly kind: 'person'; readonly by: string }
  | { readonly kind: 'unknown' }
);

const SLEEPS: ReadonlySet<string> = new Set(['stop', 'hibernate']);
const SYSTEM = 'prism';

/**
 * Why a workspace went down. After a request that was no sleep, its machine went down by itself:
 * it was idle, or expired.
 */
export function sleepReason(
  { last_request: request, expires_at: expires }: Instance,
  idle: Schemas['IdleAction'] | null,
  now = new Date().toISOString(),
): SleepReason {
  const asked = request?.at ?? '';
  if (idle !== null && idle.trigger_time >= asked) {
    const { trigger_time: at, idle_duration: duration, profile } = idle;
    return { kind: 'idle', at, duration, profile };
  }
  if (request == null) return { kind: 'unknown', at: null };
  if (SLEEPS.has(request.verb)) {
    if (request.reason !== null) return { kind: 'reason', at: asked, text: request.reason };
    if (request.by === '' || request.by === SYSTEM) return { kind: 'unknown', at: asked };
    return { kind: 'person', at: asked, by: request.by };
  }
  if (expires !== null && expires >= asked && expires <= now) {
    return { kind: 'expired', at: expires };
  }
  return { kind: 'unknown', at: null };
}
