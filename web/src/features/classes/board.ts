import type { Instance, Schemas } from '../../api/client';
import { t } from '../../strings';

/** In the order in which somebody who teaches looks: who needs help comes first. */
export const CONDITIONS = [
  'failed',
  'stuck',
  'absent',
  'unopened',
  'idle',
  'asleep',
  'starting',
  'working',
] as const;
export type Condition = (typeof CONDITIONS)[number];

/** A workspace of the class, or a person without one. */
export interface Seat {
  readonly id: string;
  readonly person: string;
  readonly instance: Instance | null;
  readonly condition: Condition;
  /** Why it is no use to its owner right now; null if nothing is wrong. */
  readonly why: string | null;
  /** The open invitation of somebody who has not answered it. */
  readonly invitation: string | null;
}

type Invitation = Pick<Schemas['InvitationShown'], 'id' | 'email' | 'status' | 'mail_problem'>;
type Member = Pick<Schemas['Member'], 'email' | 'role'>;

const IDLE = 30; // minutes, as `prism class status` has it
const ENDING: ReadonlySet<string> = new Set(['terminating', 'terminated']);
const SLEEPING: ReadonlySet<string> = new Set(['hibernated', 'stopped', 'hibernating', 'stopping']);
const TEACHING: ReadonlySet<string> = new Set(['admin', 'owner']);
const BUSY_KERNEL = /^the kernel of .* is busy$/; // as the agent reports it
const UNANSWERED = new Map<string, string>(Object.entries(t.classes.unanswered));

/** The workspaces of a class that are not being destroyed. */
export function ofClass(list: readonly Instance[], project: string): Instance[] {
  return list.filter((it) => it.tags['Project'] === project && !ENDING.has(it.state));
}

/**
 * A seat for each workspace, and for each person without one, in the order of the addresses.
 * `prism class status` decides the same; `tests/cli/people/class_cases.json` compares both.
 */
export function seatsOf(
  members: readonly Member[],
  invitations: readonly Invitation[],
  workspaces: readonly Instance[],
): Seat[] {
  const joined = new Map(members.map((it) => [it.email.toLowerCase(), it.role]));
  const answers = new Map(invitations.map((it) => [it.email.toLowerCase(), it])); // the newest
  const absence = (person: string): string | null => {
    if (joined.has(person)) return null;
    const answer = answers.get(person);
    if (answer === undefined) return t.classes.noMember;
    if (answer.mail_problem) return t.classes.undelivered(answer.mail_problem);
    return UNANSWERED.get(answer.status) ?? t.classes.noMember;
  };
  const open = (person: string): string | null => {
    const answer = answers.get(person);
    return answer?.status === 'pending' && !joined.has(person) ? answer.id : null;
  };
  const seats = workspaces.map((instance): Seat => {
    const person = (instance.owner ?? '').toLowerCase();
    const missing = absence(person);
    const [condition, why] =
      missing === null ? conditionOf(instance) : ['absent' as const, missing];
    return { id: instance.workspace, person, instance, condition, why, invitation: open(person) };
  });
  const owners = new Set(seats.map((it) => it.person));
  const learners = [...joined].filter(([, role]) => !TEACHING.has(role)).map(([email]) => email);
  const invited = [...answers].filter(([, it]) => UNANSWERED.has(it.status)).map(([it]) => it);
  for (const person of new Set([...learners, ...invited])) {
    if (owners.has(person)) continue;
    const why = absence(person) ?? t.classes.noWorkspace;
    const invitation = open(person);
    seats.push({ id: person, person, instance: null, condition: 'absent', why, invitation });
  }
  const key = (it: Seat) => `${it.person} ${it.instance?.name ?? ''}`;
  return seats.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

function conditionOf(it: Instance): readonly [Condition, string | null] {
  const { state, failure, unreachable, waiting, idle } = it;
  if (failure !== null) return ['failed', t.classes.failed(failure.message)];
  if (unreachable) return ['stuck', t.classes.unreachable(unreachable)];
  if (waiting) return ['stuck', t.classes.waits(waiting)];
  if (state !== 'running') return [SLEEPING.has(state) ? 'asleep' : 'starting', null];
  const busy = idle.because?.find((why) => BUSY_KERNEL.test(why));
  if (busy !== undefined) return ['stuck', busy];
  if (idle.never_used === true) return ['unopened', t.classes.neverOpened];
  const minutes = idle.idle_minutes ?? 0;
  return minutes >= IDLE ? ['idle', t.classes.idleFor(minutes)] : ['working', null];
}

/** What a workspace is called in the class: `work` of `work--ann`. */
export function workspaceName({ name, full_name }: Instance): string {
  const end = full_name?.lastIndexOf('--') ?? -1;
  return end > 0 ? (full_name ?? name).slice(0, end) : name;
}

/** The seats that are shown: in a condition, with a text, and of a workspace of that name. */
export function shown(
  seats: readonly Seat[],
  condition: string | null,
  text: string,
  name: string | null,
): Seat[] {
  const sought = text.trim().toLowerCase();
  return seats.filter(({ person, instance, ...it }) => {
    if (condition !== null && it.condition !== condition) return false;
    if (name !== null && instance !== null && workspaceName(instance) !== name) return false;
    const words = [person, instance?.name, instance?.template, it.why];
    return words.some((word) => word?.toLowerCase().includes(sought) === true);
  });
}

/** Those that would run after that time; an earlier expiry stays as it is. */
export function runsLonger(list: readonly Instance[], at: Date): Instance[] {
  return list.filter((it) => it.expires_at === null || new Date(it.expires_at) > at);
}

/** What workspaces cost in an hour together; null if the price of one is unknown. */
export function rateOf(list: readonly Instance[]): number | null {
  return list.reduce<number | null>(
    (sum, { hourly_rate: rate }) => (sum === null || rate === null ? null : sum + rate),
    0,
  );
}
