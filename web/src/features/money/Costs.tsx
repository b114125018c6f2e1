import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import Link from '@cloudscape-design/components/link';
import SegmentedControl from '@cloudscape-design/components/segmented-control';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import { queries } from '../../api/queries';
import { AsCommand } from '../../ui/AsCommand';
import { CostHistory } from './CostHistory';
import { CostsNow } from './CostsNow';
import { Loaded } from '../../ui/Loaded';
import { GROUPS } from '../../lib/costs';
import { costsOf } from '../../lib/equivalents';
import { useSearch } from '../../lib/useSearch';
import { useOperator } from '../../lib/me';
import { t } from '../../strings';

const GRAINS = ['daily', 'weekly', 'monthly'] as const;

/** The address of all costs, or of one project's, as CSV. */
function exportOf(project: string | null): string {
  const of = project === null ? '' : `&project=${encodeURIComponent(project)}`;
  return `/api/v1/costs/export?format=csv${of}`;
}

/** What is paid for now, and what each day, week or month has cost. */
export default function Costs() {
  const [search, change] = useSearch();
  const grain = GRAINS.find((it) => it === search.get('by')) ?? 'daily';
  const group = GROUPS.find((it) => it === search.get('group')) ?? null;
  const operator = useOperator();
  const { data: projects = [] } = useQuery(queries.projects);
  // Others see what a project of theirs costs.
  const project = search.get('project') ?? (operator ? null : (projects[0]?.name ?? null));
  const now = useQuery({ ...queries.costs, enabled: operator });
  const options = [
    ...(operator ? [{ value: '', label: t.costs.allProjects }] : []),
    ...projects.map((it) => ({ value: it.name, label: it.name })),
  ];
  const groups = [
    { value: '', label: t.costs.noGroups },
    ...GROUPS.map((value) => ({ value, label: t.costs.each[value] })),
  ];
  const history = useQuery({
    ...queries.history(grain, project, group),
    enabled: operator || project !== null,
  });
  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          actions={
            <SpaceBetween direction="horizontal" size="m" alignItems="center">
              {(operator || project !== null) && (
                <Link href={exportOf(operator ? null : project)} external>
                  {t.costs.csv}
                </Link>
              )}
              <AsCommand equivalents={costsOf(grain, project, group)} />
            </SpaceBetween>
          }
        >
          {t.pages.costs}
        </Header>
      }
    >
      <SpaceBetween size="l">
        {operator && (
          <Container header={<Header variant="h2">{t.home.now}</Header>}>
            <Loaded query={now} what={t.home.now}>
              {(costs) => <CostsNow costs={costs} />}
            </Loaded>
          </Container>
        )}
        <Container
          header={
            <Header
              variant="h2"
              actions={
                <SpaceBetween direction="horizontal" size="xs" alignItems="center">
                  {projects.length > 0 && (
                    <Select
                      ariaLabel={t.costs.project}
                      selectedOption={options.find((it) => it.value === (project ?? '')) ?? null}
                      options={options}
                      placeholder={project ?? ''}
                      onChange={({ detail }) =>
                        change({ project: detail.selectedOption.value || null })
                      }
                    />
                  )}
                  <Select
                    ariaLabel={t.costs.divide}
                    selectedOption={groups.find((it) => it.value === (group ?? '')) ?? null}
                    options={groups}
                    onChange={({ detail }) =>
                      change({ group: detail.selectedOption.value || null })
                    }
                  />
                  <SegmentedControl
                    label={t.costs.by}
                    selectedId={grain}
                    options={GRAINS.map((id) => ({ id, text: t.costs.grains[id] }))}
                    onChange={({ detail }) =>
                      change({ by: detail.selectedId === 'daily' ? null : detail.selectedId })
                    }
                  />
                </SpaceBetween>
              }
            >
              {t.costs.history}
            </Header>
          }
        >
          {operator || project !== null ? (
            <Loaded query={history} what={t.costs.history}>
              {(data) => <CostHistory history={data} />}
            </Loaded>
          ) : (
            t.costs.noProjects
          )}
        </Container>
      </SpaceBetween>
    </ContentLayout>
  );
}
