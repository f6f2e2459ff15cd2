// The official SDK on express, without authentication: node bare.mjs PORT
import express from 'express';
import { mount } from './whoami.mjs';

const app = express();
mount(app);
app.listen(Number(process.argv[2]), '127.0.0.1');
