import type { Schemas } from '../../api/client';
import { t } from '../../strings';

export type Role = Schemas['Role'];
export const ROLES = ['viewer', 'member', 'admin', 'owner'] as const satisfies readonly Role[];
export const ROLE_OPTIONS = ROLES.map((value) => ({ value, label: t.roles[value] }));

/** The role of that name; the least where there is none. */
export function roleOf(word: string | undefined): Role {
  return ROLES.find((it) => it === word) ?? 'viewer';
}

/** Who may get the workspaces of a member, as options. */
export function heirsOf(project: Schemas['ProjectShown'], email: string) {
  return project.members
    .filter((it) => it.email !== email && it.role !== 'viewer')
    .map((it) => ({ value: it.email, label: it.email }));
}
