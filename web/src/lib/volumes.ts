import type { StatusIndicatorProps } from '@cloudscape-design/components/status-indicator';

import type { Schemas } from '../api/client';

/** A volume of either kind, as the page shows it. */
export interface Volume {
  readonly name: string;
  readonly kind: 'ebs' | 'efs';
  readonly state: Schemas['VolumeState'];
  readonly size: number | null;
  readonly used: number | null;
  readonly attached: readonly string[];
  readonly monthly: number | null;
  readonly problem: string | null;
  /** Whether no daemon serves it, so that its state is only the last known one. */
  readonly unreachable: boolean;
}

interface Hindered {
  readonly failure: Schemas['StorageFailure'] | null;
  readonly unreachable?: string | null;
  readonly waiting?: string | null;
}

/** Why a volume or a snapshot is not as it was requested. */
export function hindranceOf(it: Hindered): string | null {
  return it.unreachable ?? it.failure?.message ?? it.waiting ?? null;
}

/** How the state of a volume or a snapshot looks. */
export function lookOf(
  state: Schemas['VolumeState'] | Schemas['SnapshotState'],
): StatusIndicatorProps.Type {
  if (state === 'error') return 'error';
  if (state === 'deleted') return 'stopped';
  return state === 'available' || state === 'in-use' || state === 'completed'
    ? 'success'
    : 'in-progress';
}

/** Both kinds in one list, by name. */
export function volumesOf(list: Schemas['VolumeList']): readonly Volume[] {
  const ebs = list.ebs_volumes.map((it): Volume => ({
    name: it.name,
    kind: 'ebs',
    state: it.state,
    size: it.size_gb,
    used: it.used_gb,
    attached: it.attached_instance === null ? [] : [it.attached_instance],
    monthly: it.monthly_cost,
    problem: hindranceOf(it),
    unreachable: it.unreachable != null,
  }));
  const efs = list.efs_volumes.map((it): Volume => ({
    name: it.name,
    kind: 'efs',
    state: it.state,
    size: null,
    used: it.size_gb,
    attached: it.attached_instances,
    monthly: it.monthly_cost,
    problem: hindranceOf(it),
    unreachable: it.unreachable != null,
  }));
  return [...ebs, ...efs].sort((a, b) => a.name.localeCompare(b.name));
}
