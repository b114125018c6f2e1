import { isRecord } from '../api/errors';

/** What the daemon tells of: one fact, as the journal has it. */
export interface LiveEvent {
  readonly id: string;
  readonly event: string;
  readonly at: string;
  readonly actor: string;
  readonly subject: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** A text frame of the event connection; null for what is no event. */
export function parseEvent(text: string): LiveEvent | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isRecord(value) || !isRecord(value['data'])) return null;
  const { id, event, at, actor, subject } = value;
  const words = [id, event, at, actor, subject];
  if (!words.every((it) => typeof it === 'string')) return null;
  return value as unknown as LiveEvent;
}
