import Alert from '@cloudscape-design/components/alert';
import SpaceBetween from '@cloudscape-design/components/space-between';

import { type Me, mayLaunch } from '../../lib/me';
import { t } from '../../strings';
import { MyInvitations } from './MyInvitations';
import { Remediation } from '../../ui/Remediation';

/** What keeps a person of a shared daemon from launching; null if nothing does. */
export function launchProblem(me: Me | undefined): 'none' | 'viewer' | null {
  if (me === undefined || !me.shared || me.operator) return null;
  const projects = Object.keys(me.roles);
  if (projects.length === 0) return 'none';
  return projects.some((id) => mayLaunch(me, id)) ? null : 'viewer';
}

/** Says who can give a right to launch, and shows the invitations that would. */
export function NoProject({ me }: { readonly me: Me }) {
  const isNone = launchProblem(me) === 'none';
  return (
    <SpaceBetween size="l">
      <MyInvitations />
      <Alert type="info" header={isNone ? t.noProject.title : t.noProject.viewer}>
        <Remediation text={(isNone ? t.noProject.what : t.noProject.viewerWhat)(me.user)} />
      </Alert>
    </SpaceBetween>
  );
}
