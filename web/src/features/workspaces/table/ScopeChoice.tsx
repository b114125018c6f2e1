import SegmentedControl from '@cloudscape-design/components/segmented-control';

import { t } from '../../../strings';
import { type Scope, SCOPES } from './filters';

/** Whose workspaces are listed. */
export default function ScopeChoice({
  scope,
  choose,
}: {
  readonly scope: Scope;
  readonly choose: (scope: Scope) => void;
}) {
  return (
    <SegmentedControl
      label={t.workspaces.whose}
      selectedId={scope}
      options={SCOPES.map((id) => ({ id, text: t.workspaces.scopes[id] }))}
      onChange={({ detail }) => choose(SCOPES.find((it) => it === detail.selectedId) ?? 'all')}
    />
  );
}
