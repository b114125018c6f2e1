import Alert from '@cloudscape-design/components/alert';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import { queries } from '../../api/queries';
import { money } from '../../lib/format';
import { isNearCap } from '../money/money';
import { t } from '../../strings';
import { PageLink } from '../../ui/PageLink';

const SHOWN = 5;

/** The projects whose money is nearly used up: at the percentage at which they warn, or beyond. */
export function BudgetConcerns() {
  const { data: projects = [] } = useQuery(queries.projects);
  const concerns = projects.filter((it) => isNearCap(it.budget));
  if (concerns.length === 0) return null;
  return (
    <SpaceBetween size="xs">
      {concerns.slice(0, SHOWN).map(({ id, name, budget }) => (
        <Alert key={id} type="warning">
          <PageLink href={`/projects/${encodeURIComponent(name)}`}>{name}</PageLink>{' '}
          {t.concerns.cap(money(budget.left), money(budget.total_allocated))}
        </Alert>
      ))}
      {concerns.length > SHOWN && t.andMore(concerns.length - SHOWN)}
    </SpaceBetween>
  );
}
