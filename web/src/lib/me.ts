import { useQuery } from '@tanstack/react-query';

import type { Instance, Schemas } from '../api/client';
import { queries } from '../api/queries';

export type Me = Schemas['Myself'];
type Project = Pick<Schemas['ProjectShown'], 'id' | 'name'>;

const MANAGERS: readonly string[] = ['admin', 'owner'];

/** Who uses this page. It is known before any page is drawn; until then it may do nothing. */
export function useMe(): Me | undefined {
  return useQuery(queries.me).data;
}

/** Whether this is the operator, who may do everything; on a computer of one's own, always. */
export function useOperator(): boolean {
  return useMe()?.operator ?? false;
}

/** Whether a browser reaches the services of workspaces; on a shared daemon, by its apps domain. */
export function reachesServices(me: Me | undefined): boolean {
  return me?.shared !== true || me.apps_domain !== null;
}

/** Whether somebody may change a workspace: their own, or any in a project that they manage. */
export function mayManage(
  me: Me | undefined,
  instance: Pick<Instance, 'owner' | 'tags'>,
  projects: readonly Project[],
): boolean {
  if (me === undefined) return false;
  if (me.operator) return true;
  if (me.scope === 'read') return false;
  const project = projects.find((it) => it.name === instance.tags['Project']);
  const role = project === undefined ? undefined : me.roles[project.id];
  if (role !== undefined && MANAGERS.includes(role)) return true;
  return isOwn(me, instance) && (project === undefined || role === 'member');
}

/** Whether somebody launched a workspace. */
export function isOwn(me: Me | undefined, instance: Pick<Instance, 'owner'>): boolean {
  return me !== undefined && instance.owner?.toLowerCase() === me.user.toLowerCase();
}

/** Whether somebody has at least this role in a project. */
export function hasRole(me: Me | undefined, project: string, ...roles: readonly string[]): boolean {
  if (me === undefined) return false;
  return me.operator || roles.includes(me.roles[project] ?? '');
}

/** Whether somebody may launch in a project. */
export function mayLaunch(me: Me | undefined, project: string): boolean {
  return me?.scope !== 'read' && hasRole(me, project, 'member', ...MANAGERS);
}
