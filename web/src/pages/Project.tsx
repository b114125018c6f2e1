import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Tabs from '@cloudscape-design/components/tabs';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useParams } from 'react-router';

import { actions } from '../api/actions';
import { queries } from '../api/queries';
import { AsCommand } from '../components/AsCommand';
import { Confirm } from '../components/Confirm';
import { Loaded } from '../components/Loaded';
import { ProjectInvitations } from '../components/ProjectInvitations';
import { ProjectMembers } from '../components/ProjectMembers';
import { ProjectMoney } from '../components/ProjectMoney';
import { ProjectSettings } from '../components/ProjectSettings';
import { projectOf } from '../lib/equivalents';
import { useSearch } from '../lib/useSearch';
import { t } from '../strings';
import { NotFound } from './NotFound';

/** One project: its money, its people, its invitations and its limits. */
export default function Project() {
  const { name = '' } = useParams();
  const [search, change] = useSearch();
  const navigate = useNavigate();
  const query = useQuery(queries.projects);
  return (
    <Loaded query={query} what={name}>
      {(list) => {
        const it = list.find((one) => one.name === name || one.id === name);
        if (it === undefined) return <NotFound what={t.money.noProject(name)} list="projects" />;
        const tabs = {
          money: <ProjectMoney project={it} />,
          members: <ProjectMembers project={it} />,
          invitations: <ProjectInvitations project={it} />,
          settings: <ProjectSettings key={it.id} project={it} />,
        };
        return (
          <ContentLayout
            header={
              <Header
                variant="h1"
                description={it.description}
                actions={
                  <SpaceBetween direction="horizontal" size="xs">
                    <AsCommand equivalents={projectOf(it.name)} />
                    <Confirm
                      text={t.files.remove}
                      label={t.money.removeOf(it.name)}
                      word={it.name}
                      warning={t.money.removeProject}
                      act={async () => {
                        await actions.removeProject(it.id);
                        await navigate('/projects');
                      }}
                    />
                  </SpaceBetween>
                }
              >
                {it.name}
              </Header>
            }
          >
            <Tabs
              ariaLabel={t.money.parts}
              activeTabId={search.get('tab') ?? 'money'}
              onChange={({ detail }) =>
                change({ tab: detail.activeTabId === 'money' ? null : detail.activeTabId })
              }
              tabs={Object.entries(tabs).map(([id, content]) => ({
                id,
                label: t.money.tab[id as keyof typeof tabs],
                content,
              }))}
            />
          </ContentLayout>
        );
      }}
    </Loaded>
  );
}
