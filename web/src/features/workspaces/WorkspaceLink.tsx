import { useQuery } from '@tanstack/react-query';

import { queries } from '../../api/queries';
import { PageLink } from '../../ui/PageLink';

/** Leads to a workspace by its id; its name alone is shown where it is not listed any more. */
export function WorkspaceLink({
  id,
  name,
  tab,
}: {
  readonly id: unknown;
  readonly name: string;
  readonly tab?: string;
}) {
  const { data: list } = useQuery(queries.instances);
  const instance = list?.find((it) => it.workspace === id);
  if (instance === undefined) return name;
  const query = tab === undefined ? '' : `?tab=${tab}`;
  return <PageLink href={`/workspaces/${instance.name}${query}`}>{instance.name}</PageLink>;
}
