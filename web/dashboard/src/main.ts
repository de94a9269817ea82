import './app.css';
import { mount } from 'svelte';
import App from './shell/App.svelte';
import { theme } from './shell/theme.svelte';

theme.apply();
mount(App, { target: document.getElementById('app')! });
