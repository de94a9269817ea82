// The API's shapes by short names; what they are comes from the generated schema.

import type { components } from './schema';

type Schemas = components['schemas'];

export type Status = Schemas['PumpStatus'];
export type Node = Schemas['NodeData'];
export type Profile = Schemas['ProfileData'];
export type Channel = Schemas['ChannelData'];
export type Limits = Schemas['LimitsData'];
export type Pump = Schemas['PumpData'];
export type Simulation = Schemas['SimulationData'];
export type Live = Schemas['LiveData'];
export type Feed = Schemas['FeedData'];
export type Settings = Schemas['SettingsData'];
export type Learning = Schemas['Learning'];
export type Reading = Schemas['ReadingData'];
export type Detection = Schemas['DetectionData'];
export type MaintenanceEvent = Schemas['EventData'];
export type Baselines = Schemas['BaselinesData'];
export type Baseline = Schemas['BaselineData'];
export type ReadingEvent = Schemas['ReadingEvent'];
export type DetectionEvent = Schemas['DetectionEvent'];
export type Store = Schemas['StoreData'];
export type Disk = Schemas['DiskData'];
export type Incomplete = Schemas['IncompleteData'];
export type FleetEvent = Schemas['FleetEvent'];
export type RemovedEvent = Schemas['RemovedEvent'];
export type RenamedEvent = Schemas['RenamedEvent'];
export type NamedPump = Schemas['NamedPump'];
