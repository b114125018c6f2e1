import { useQuery } from '@tanstack/react-query';

import { queries } from '../../api/queries';
import { useMe } from '../../lib/me';
import { t } from '../../strings';
import { Loaded } from '../../ui/Loaded';
import { LaunchForm } from './LaunchForm';
import { launchProblem, NoProject } from '../people/NoProject';

/** The launch form, once what it needs is known. */
export function LaunchSection({ few = false }: { readonly few?: boolean }) {
  const templates = useQuery(queries.templates);
  const instances = useQuery(queries.instances);
  const profile = useQuery(queries.profile);
  const me = useMe();
  if (me !== undefined && launchProblem(me) !== null) return <NoProject me={me} />;
  return (
    <Loaded query={templates} what={t.pages.templates}>
      {(all) => (
        <Loaded query={instances} what={t.pages.workspaces}>
          {(list) => (
            <Loaded query={profile} what={t.fields.profile}>
              {({ provider }) => (
                <LaunchForm templates={all} instances={list} provider={provider} few={few} />
              )}
            </Loaded>
          )}
        </Loaded>
      )}
    </Loaded>
  );
}
